"""Hosts that take pages out and bring them back, the right ones and others, while all else goes on."""

from typing import Any

from rmm_hosts import Hosts
from rmm_model.entries import Hipas
from rmm_model.facts import PAGE, Blob, Granule, Realm
from rmm_model.guest import CALL, CODE
from rmm_steps import Page
from rmm_watched import LOST, SWAP

__all__ = ["PagingHosts"]


class PagingHosts(Hosts):
    """The hosts, with an RMM that has the extension."""

    def step(self) -> None:
        """Now and then a page goes out or comes back."""
        if self.chance(0.3):
            self.random.choice((self.page_out, self.page_in, self.page_in))()
        else:
            super().step()

    def repair(self, rd: int, rec: int) -> bool:
        """A Realm that has missed a page that is out gets it."""
        exit, realm = self.exits.get(rec), self.model.realms[rd]
        if exit is not None and not exit.reason and self.model.recs[rec].abort is None:
            ipa = exit.hpfar >> 4 << 12
            if realm.protected(ipa) and self.model.walk(realm, ipa, 3).entry.hipas is Hipas.SEALED:
                return self.bring(realm, ipa)
        return super().repair(rd, rec)

    def sealed(self) -> list[tuple[Realm, int]]:
        """What is out: Realm and IPA."""
        return [
            (realm, table.ipa(slot))
            for realm in self.model.realms.values()
            for _, table in self.tables(realm)
            for slot, entry in enumerate(table.entries)
            if entry.hipas is Hipas.SEALED
        ]

    def right(self, realm: Realm, ipa: int) -> Blob:
        """What went out last there."""
        version = self.model.walk(realm, ipa, 3).entry.version
        return next(
            one for one in self.model.blobs if (one.serial, one.ipa, one.version) == (realm.serial, ipa, version)
        )

    def bring(self, realm: Realm, ipa: int) -> bool:
        """PAGE_IN as it should be."""
        blob, src = self.right(realm, ipa), self.random.choice(SWAP)
        page = Page.of(src, blob.content)
        return self.call("PAGE_IN", realm.rd, self.pick(Granule.DELEGATED), ipa, src, *blob.tag, pages=(page,))

    def page_out(self) -> None:
        """Of any Realm; the pages that its code needs all the time go less often."""
        realm = self.some_realm()
        ipa = self.ipa(realm, low=self.chance(0.8))
        if ipa in (CODE, CALL) and self.chance(0.5):
            return
        dst = LOST if self.chance(0.1) else self.random.choice(SWAP)
        self.go("PAGE_OUT", realm.rd if realm is not None else self.pick(Granule.RD), ipa, dst)

    def page_in(self) -> None:
        """Of something that went out, mostly where it belongs."""
        out = self.sealed()
        if not self.model.blobs:
            return
        realm, ipa = self.random.choice(out) if out else (self.some_realm(), self.ipa(low=True))
        rd = realm.rd if realm is not None else self.pick(Granule.RD)
        blob = self.right(realm, ipa) if out and self.chance(0.6) else self.random.choice(self.model.blobs[-12:])
        content, src = bytearray(blob.content), LOST if self.chance(0.1) else self.random.choice(SWAP)
        if self.chance(0.1):
            content[self.random.randrange(PAGE)] ^= 1 << self.random.randrange(8)
        args: tuple[Any, ...] = (rd, self.pick(Granule.DELEGATED), ipa, src, *blob.tag)
        pages = () if src == LOST else (Page.of(src, bytes(content)),)
        self.call("PAGE_IN", *self.spoiled("PAGE_IN", args, 0.2), pages=pages)
