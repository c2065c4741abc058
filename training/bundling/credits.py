"""Whom to thank: licences and citations of the databases, which travel with every bundle trained on them."""

from dataclasses import dataclass

METHOD = (
    "S. Kim, Learning General Representation of 12-Lead Electrocardiogram with a Joint-Embedding Predictive "
    "Architecture, 2024, arXiv:2410.08559"
)


@dataclass(frozen=True)
class Credit:
    """Licence and citations of one database."""

    licence: str
    citations: tuple[str, ...]


CREDITS = {
    "ptbxl": Credit(
        "PTB-XL 1.0.3: CC BY 4.0",
        (
            "P. Wagner et al., PTB-XL, a large publicly available electrocardiography dataset (1.0.3), PhysioNet 2022, "
            "doi:10.13026/kfzx-aw45",
            "P. Wagner et al., Scientific Data 7, 154 (2020), doi:10.1038/s41597-020-0495-6",
        ),
    ),
    "ludb": Credit(
        "LUDB 1.0.1: ODC-By 1.0",
        (
            "A. Kalyakulina et al., Lobachevsky University Electrocardiography Database (1.0.1), PhysioNet 2021, "
            "doi:10.13026/eegm-h675",
            "A. Kalyakulina et al., IEEE Access 8, 186181 (2020), doi:10.1109/ACCESS.2020.3029211",
        ),
    ),
    "challenge": Credit(
        "PhysioNet/Computing in Cardiology Challenge 2021: CC BY 4.0",
        ("M. Reyna et al., Will Two Do? (1.0.3), PhysioNet 2022, doi:10.13026/34va-7q14",),
    ),
    "code15": Credit(
        "CODE-15%: CC BY 4.0", ("A. Ribeiro et al., CODE-15% (1.0.0), Zenodo 2021, doi:10.5281/zenodo.4916206",)
    ),
}


def credits_of(source: str) -> Credit:
    """Credit of a source; a folder of one's own is its owner's."""
    return CREDITS.get(source, Credit("data of the bundle's owner", ()))
