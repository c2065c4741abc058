"""The bundle's wave graph for any leads on onnxruntime, on the CPU: it is small and runs beside whoever asks."""

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from model.bundle import Bundle, read_wave_graph
from model.engine.contract import Array
from model.errors import EngineError


class LeadEngine:
    """Runs windows of any number of leads.

    Args:
        bundle: a verified bundle with a `wave_graph`.
        threads: intra-op threads of the session.

    Raises:
        BundleError: the bundle has no such graph, or its file was altered.
        EngineError: it cannot be loaded.
    """

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        graph = read_wave_graph(bundle)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        try:
            self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise EngineError(f"the graph for any leads cannot be loaded: {type(error).__name__}") from error
        self._names = [output.name for output in self._session.get_outputs()]

    def run(self, windows: Array) -> dict[str, npt.NDArray[np.generic]]:
        """The wave outputs by name, one row a window, for float32 (window, lead, sample) in mV.

        Raises:
            EngineError: onnxruntime refused the batch.
        """
        try:
            values = self._session.run(self._names, {"ecg": windows})
        except Exception as error:
            raise EngineError(f"inference failed: {type(error).__name__}") from error
        return dict(zip(self._names, values, strict=True))
