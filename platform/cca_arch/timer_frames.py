"""The memory-mapped view of the Generic Timer (DDI 0487, chapter I2): the frames, their registers and controls."""

from enum import IntEnum

from cca_arch.fields import Bits, Field

__all__ = ["COUNTER_FRAMES", "CntBase", "CntControlBase", "CntCtlBase", "Cntacr", "Cntcr", "Cntel0acr", "Cnttidr"]

COUNTER_FRAMES = 8
"""The most frames CNTBaseN that one CNTCTLBase has."""


class CntCtlBase(IntEnum):
    """Registers of the control frame: an array element of CNTACR is 4 bytes, one of CNTVOFF 8."""

    CNTFRQ = 0x00
    CNTNSAR = 0x04
    CNTTIDR = 0x08
    CNTACR = 0x40
    CNTVOFF = 0x80


class CntBase(IntEnum):
    """Registers of a timer frame, in both of its views; counters, offset and compare values have 64 bits."""

    CNTPCT = 0x00
    CNTVCT = 0x08
    CNTFRQ = 0x10
    CNTEL0ACR = 0x14
    CNTVOFF = 0x18
    CNTP_CVAL = 0x20
    CNTP_TVAL = 0x28
    CNTP_CTL = 0x2C
    CNTV_CVAL = 0x30
    CNTV_TVAL = 0x38
    CNTV_CTL = 0x3C


class CntControlBase(IntEnum):
    """Registers of the frame that controls the system counter."""

    CNTCR = 0x00
    CNTSR = 0x04
    CNTCV = 0x08
    CNTFID0 = 0x20


class Cntacr(Bits):
    """CNTACR<n>: what software may access in frame n."""

    rpct = Field(0)
    rvct = Field(1)
    rfrq = Field(2)
    rvoff = Field(3)
    rwvt = Field(4)
    rwpt = Field(5)


class Cntel0acr(Bits):
    """CNTEL0ACR: what software may access in the second view of a frame, of what CNTACR<n> lets it access."""

    el0pcten = Field(0)
    el0vcten = Field(1)
    el0vten = Field(8)
    el0pten = Field(9)


class Cnttidr(Bits):
    """The four bits of CNTTIDR for a frame: it exists, it has a virtual timer, it has a second view."""

    fi = Field(0)
    fvi = Field(1)
    fel0i = Field(2)


class Cntcr(Bits):
    """CNTCR: enable, halt on debug, and the entry of the frequency table that is requested."""

    en = Field(0)
    hdbg = Field(1)
    fcreq = Field(31, 8)
