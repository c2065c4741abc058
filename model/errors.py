"""Everything that can be wrong with an ECG, a bundle or an engine, each with a stable code."""

from typing import ClassVar


class EcgError(Exception):
    """Root of the tree; `code` is stable across versions, `detail` is for people and holds no patient data."""

    code: ClassVar[str] = "error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class MalformedError(EcgError):
    """The bytes could not be parsed as what they claim to be."""

    code: ClassVar[str] = "malformed"


class MalformedRecordError(MalformedError):
    """A WFDB record whose header and signal files contradict each other or the format."""

    code: ClassVar[str] = "malformed_record"


class MalformedJsonError(MalformedError):
    """A body that is not the JSON that was asked for."""

    code: ClassVar[str] = "malformed_json"


class MalformedArchiveError(MalformedError):
    """A .zip that cannot be opened, or whose members are not one record."""

    code: ClassVar[str] = "malformed_archive"


class TooLargeError(EcgError):
    """More bytes, leads or seconds than are accepted."""

    code: ClassVar[str] = "too_large"


class UnknownFormatError(EcgError):
    """A content type or file type that no decoder reads."""

    code: ClassVar[str] = "unknown_format"


class UnusableError(EcgError):
    """The input was understood, and no answer can be given from it."""

    code: ClassVar[str] = "unusable"


class MissingLeadError(UnusableError):
    """A lead that the model needs is neither present nor derivable."""

    code: ClassVar[str] = "missing_lead"


class DuplicateLeadError(UnusableError):
    """Two leads carry the same name."""

    code: ClassVar[str] = "duplicate_lead"


class MissingUnitError(UnusableError):
    """No amplitude unit was given; none is assumed."""

    code: ClassVar[str] = "missing_unit"


class UnknownUnitError(UnusableError):
    """An amplitude unit other than mV, uV or V."""

    code: ClassVar[str] = "unknown_unit"


class MissingGainError(UnusableError):
    """Counts without a gain, or a WFDB signal that calls itself uncalibrated; none is assumed."""

    code: ClassVar[str] = "missing_gain"


class MissingRateError(UnusableError):
    """No sampling rate was given; none is assumed."""

    code: ClassVar[str] = "missing_rate"


class RateError(UnusableError):
    """A sampling rate outside 100-2000 Hz."""

    code: ClassVar[str] = "rate_out_of_range"


class TooShortError(UnusableError):
    """Fewer seconds than the model needs."""

    code: ClassVar[str] = "too_short"


class NotFiniteError(UnusableError):
    """NaN or infinity among the samples."""

    code: ClassVar[str] = "not_finite"


class ShapeError(UnusableError):
    """Samples and leads whose numbers do not fit together."""

    code: ClassVar[str] = "bad_shape"


class UnsupportedRecordError(UnusableError):
    """A valid WFDB record of a kind that is not accepted, such as a multi-segment one."""

    code: ClassVar[str] = "unsupported_record"


class BundleError(EcgError):
    """A bundle that is missing, damaged or of another schema."""

    code: ClassVar[str] = "bad_bundle"


class EngineError(EcgError):
    """A device that was asked for and is not there, or a graph that does not run."""

    code: ClassVar[str] = "engine_failed"
