"""Which feature of the architecture an instruction belongs to, for instructions that a PE may lack.

A row is a pattern of the instruction word, or of a system register or operation (``op0 op1 CRn CRm op2``; ``1,2`` lists
values, ``0-7`` is a range). Encodings are those of DDI 0487, C4.1 and D24. What every PE has is not here.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import Final

__all__ = ["encodings_of", "feature_of"]

# feature, mask, value: the first row that matches counts
_WORDS: Final = (
    ("FEAT_PAuth", 0xFFFFFF3F, 0xD503211F),  # PACIA1716 and its like
    ("FEAT_PAuth", 0xFFFFFF1F, 0xD503231F),  # PACIASP ...
    ("FEAT_PAuth", 0xFFFF0000, 0xDAC10000),  # PACIA, AUTIA, XPACI ...
    ("FEAT_PAuth", 0xFFE0FC00, 0x9AC03000),  # PACGA
    ("FEAT_PAuth", 0xFE9FF800, 0xD61F0800),  # BRAA, BLRAA, RETAA
    ("FEAT_PAuth", 0xFFFFFBFF, 0xD69F0BFF),  # ERETAA
    ("FEAT_PAuth", 0xFF200400, 0xF8200400),  # LDRAA
    ("FEAT_LRCPC2", 0x3FFFFC00, 0x38BFC000),  # LDAPR
    ("FEAT_LRCPC2", 0x3F200C00, 0x19000000),  # LDAPUR, STLUR
    ("FEAT_LS64", 0xFFFFBC00, 0xF83F9000),  # ST64B, LD64B
    ("FEAT_LSE", 0x3FA07C00, 0x08A07C00),  # CAS
    ("FEAT_LSE", 0xBFA07C00, 0x08207C00),  # CASP
    ("FEAT_LSE", 0x3F208C00, 0x38200000),  # LDADD ...
    ("FEAT_LSE", 0x3F20FC00, 0x38208000),  # SWP
    ("FEAT_LOR", 0x3FA08000, 0x08800000),  # LDLAR, STLLR
    ("FEAT_PAN2", 0xFFFFF0FF, 0xD500409F),  # MSR PAN, #imm
    ("FEAT_UAO", 0xFFFFF0FF, 0xD500407F),
    ("FEAT_DIT", 0xFFFFF0FF, 0xD503405F),
    ("FEAT_SSBS2", 0xFFFFF0FF, 0xD503403F),
    ("FEAT_MTE", 0xFFFFF0FF, 0xD503409F),  # MSR TCO, #imm
    ("FEAT_MTE", 0xBFC0C000, 0x91800000),  # ADDG, SUBG
    ("FEAT_MTE", 0xFFE0FC00, 0x9AC01000),  # IRG
    ("FEAT_MTE", 0xFF200000, 0xD9200000),  # LDG, STG ...
    ("FEAT_SME", 0xFFFFF0FF, 0xD503407F),  # SMSTART, SMSTOP
    ("FEAT_SME", 0x9E000000, 0x80000000),
    ("FEAT_SVE", 0x1E000000, 0x04000000),
    ("FEAT_FlagM2", 0xFFFFF0FF, 0xD500401F),  # CFINV
    ("FEAT_FlagM2", 0xFFFFF0FF, 0xD500403F),  # XAFLAG
    ("FEAT_FlagM2", 0xFFFFF0FF, 0xD500405F),  # AXFLAG
    ("FEAT_FlagM2", 0xFFE07C10, 0xBA000400),  # RMIF
    ("FEAT_FlagM2", 0xFFFFBC1F, 0x3A00080D),  # SETF8, SETF16
    ("FEAT_SB", 0xFFFFF0FF, 0xD50330FF),
    ("FEAT_WFxT", 0xFFFFFFC0, 0xD5031000),
    ("FEAT_MOPS", 0x3B200C00, 0x19000400),
    ("FEAT_RDM", 0xBF20F400, 0x2E008400),  # SQRDMLAH, SQRDMLSH
    ("FEAT_RDM", 0xFF20F400, 0x7E008400),
    ("FEAT_RDM", 0xAF00D400, 0x2F00D000),  # by element
    ("FEAT_I8MM", 0xDFE0F400, 0x4E80A400),  # SMMLA, UMMLA, USMMLA
    ("FEAT_DotProd", 0x9F20FC00, 0x0E009400),  # SDOT, UDOT
    ("FEAT_DotProd", 0x9F00F400, 0x0F00E000),
    ("FEAT_BF16", 0xFFFFFC00, 0x1E634000),  # BFCVT
    ("FEAT_SHA3", 0xFFC08000, 0xCE000000),  # EOR3, BCAX
    ("FEAT_SHA3", 0xFFE0FC00, 0xCE608C00),  # RAX1
    ("FEAT_SHA3", 0xFFE00000, 0xCE800000),  # XAR
    ("FEAT_SHA512", 0xFFE0F000, 0xCE608000),
    ("FEAT_SHA512", 0xFFFFFC00, 0xCEC08000),
    ("FEAT_SM4", 0xFFFFFC00, 0xCEC08400),
    ("FEAT_SM4", 0xFFE0FC00, 0xCE60C800),
    ("FEAT_SM3", 0xFFE0F800, 0xCE60C000),
    ("FEAT_SM3", 0xFFE00000, 0xCE400000),
    ("FEAT_FHM", 0xBF60FC00, 0x0E20EC00),  # FMLAL, FMLSL
    ("FEAT_FHM", 0xBF60FC00, 0x2E20CC00),  # FMLAL2, FMLSL2
    ("FEAT_FHM", 0xBFC0B400, 0x0F800000),  # by element
    ("FEAT_FHM", 0xBFC0B400, 0x2F808000),
    ("FEAT_FCMA", 0xBF20E400, 0x2E00C400),  # FCMLA
    ("FEAT_FCMA", 0xBF20EC00, 0x2E00E400),  # FCADD
    ("FEAT_FCMA", 0xBF009400, 0x2F001000),
    ("FEAT_JSCVT", 0xFFFFFC00, 0x1E7E0000),
    ("FEAT_FRINTTS", 0xFFBE7C00, 0x1E284000),
    ("FEAT_FRINTTS", 0x9FBFEC00, 0x0E21E800),
    ("FEAT_FP16", 0x5FE00000, 0x1EE00000),
    ("FEAT_FP16", 0x9F60C400, 0x0E400400),
    ("FEAT_FP16", 0x9F7E0C00, 0x0E780800),
)

_REGISTERS: Final = (
    ("FEAT_PAuth", "3 0 2 1,2 0-3"),
    ("FEAT_PAuth", "3 0 2 3 0,1"),
    ("FEAT_PAN2", "3 0 4 2 3"),
    ("FEAT_PAN2", "1 0 7 9 0,1"),  # AT S1E1RP, S1E1WP
    ("FEAT_UAO", "3 0 4 2 4"),
    ("FEAT_DIT", "3 3 4 2 5"),
    ("FEAT_SSBS2", "3 3 4 2 6"),
    ("FEAT_MTE", "3 3 4 2 7"),
    ("FEAT_MTE", "3 0 1 0 5,6"),
    ("FEAT_SVE", "3 0,4,5 1 2 0"),
    ("FEAT_SME", "3 0,4,5 1 2 4-6"),
    ("FEAT_SME", "3 3 4 2 2"),
    ("FEAT_SME", "3 3 13 0 5"),
    ("FEAT_RNG", "3 3 2 4 0,1"),
    ("FEAT_DPB2", "1 3 7 12,13 1"),
    ("FEAT_SPECRES", "1 3 7 3 4,5,7"),
    ("FEAT_LOR", "3 0 10 4 0-3,7"),
    ("FEAT_VHE", "3 5 0-15 0-15 0-7"),
    ("FEAT_VHE", "3 4 2 0 1"),
    ("FEAT_VHE", "3 4 13 0 1"),
    ("FEAT_TLBIOS", "1 0,4 8 1 0-7"),
    ("FEAT_TLBIOS", "1 4 8 4 0,4"),
    ("FEAT_TLBIRANGE", "1 0,4 8 2,5,6 0-7"),
    ("FEAT_TLBIRANGE", "1 4 8 0 2,6"),
    ("FEAT_TLBIRANGE", "1 4 8 4 2,3,6,7"),
    ("FEAT_RAS", "3 0 5 3 0,1"),
    ("FEAT_RAS", "3 0 5 4 0-5"),
    ("FEAT_RAS", "3 0,4 12 1 1"),
    ("FEAT_AMUv1", "3 3 13 2-7,12-15 0-7"),
    ("FEAT_MPAM", "3 0,4 10 4,5 0-7"),
    ("FEAT_CSV2_2", "3 0,4 13 0 7"),
    ("FEAT_CSV2_2", "3 3 13 0 7"),
    ("FEAT_FGT", "3 4 1 1 4-6"),
    ("FEAT_FGT", "3 4 3 1 4-6"),
    ("FEAT_HCX", "3 4 1 2 2"),
    ("FEAT_ECV", "3 3 14 0 5,6"),
    ("FEAT_ECV", "3 4 14 0 6"),
    ("FEAT_SPE", "3 0,4 9 9,10 0-7"),
    ("FEAT_TCR2", "3 0,4 2 0 3"),
    ("FEAT_S1PIE", "3 0,4 10 2 2,3"),
)

_MOVE: Final = 0xFFC00000, 0xD5000000  # MSR, MRS, SYS, SYSL
_OP0, _OP1, _CRN, _CRM, _OP2 = 19, 16, 12, 8, 5


def encodings_of(pattern: str) -> Iterator[tuple[int, ...]]:
    """The encodings of a pattern ``op0 op1 CRn CRm op2``."""

    def values(text: str) -> list[int]:
        found: list[int] = []
        for part in text.split(","):
            low, _, high = part.partition("-")
            found += range(int(low), int(high or low) + 1)
        return found

    return product(*(values(text) for text in pattern.split()))


_BY_ENCODING: Final = {
    encoding: feature for feature, pattern in reversed(_REGISTERS) for encoding in encodings_of(pattern)
}


@lru_cache(maxsize=1 << 10)
def feature_of(word: int) -> str | None:
    """The feature of an instruction, by the architecture's name; None for one that is in Armv8.0, or unallocated."""
    for feature, mask, value in _WORDS:
        if word & mask == value:
            return feature
    if word & _MOVE[0] != _MOVE[1]:
        return None
    op0, op1, crn, crm, op2 = word >> _OP0 & 3, word >> _OP1 & 7, word >> _CRN & 15, word >> _CRM & 15, word >> _OP2 & 7
    return _BY_ENCODING.get((op0, op1, crn, crm, op2))
