"""Makes a bundle: data prepared, a network pretrained, fine-tuned, calibrated, exported and evaluated."""
