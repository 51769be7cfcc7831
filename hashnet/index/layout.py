"""What a user may decide about the layout of segments; what is left open is chosen from the codes."""

from __future__ import annotations

from dataclasses import dataclass

# As csrc/storage has them: the widest directory address, and the most tables of a segment.
MAX_DIRECTORY_BITS = 28
MAX_TABLES = 128
# Up to this length a table stores residues, whose directory may be wider than the substring.
MAX_RESIDUE_BITS = 64


@dataclass(frozen=True)
class LayoutOptions:
    """How later adds lay out their segments; None leaves a choice to the number of codes and their length.

    ``tables`` is the number of substrings. ``directory_bits`` is the width of every directory address, at
    least that of a substring; more makes an entry shorter and the directory longer. With ``select_bits`` the
    order of the bits, and so which of them share a substring, is chosen from a sample of the codes where that
    gains; without, substrings are neighbouring bits. No choice changes an answer.
    """

    tables: int | None = None
    directory_bits: int | None = None
    select_bits: bool = True

    def __post_init__(self) -> None:
        for name, value in (("tables", self.tables), ("directory_bits", self.directory_bits)):
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} must be an int or None, got {type(value).__name__}")
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}; leave it out to have it chosen")
        if not isinstance(self.select_bits, bool):
            raise TypeError(f"select_bits must be a bool, got {type(self.select_bits).__name__}")

    def check(self, n_bits: int) -> LayoutOptions:
        """Return the options if codes of ``n_bits`` bits can be laid out so, else raise ValueError."""
        least = -(-n_bits // MAX_DIRECTORY_BITS)
        most = min(n_bits // 2, MAX_TABLES)
        if self.tables is not None and not least <= self.tables <= most:
            raise ValueError(
                f"tables must be from {least} to {most} for n_bits={n_bits}, got {self.tables}; leave it out "
                "to have it chosen"
            )
        if self.directory_bits is None:
            return self
        if n_bits > MAX_RESIDUE_BITS:
            raise ValueError(
                f"directory_bits can be chosen up to {MAX_RESIDUE_BITS} bits a code, got n_bits={n_bits}: "
                "there a directory is as wide as its substring; choose tables instead"
            )
        # The longest of the substrings, which differ by a bit at most.
        substring = -(-n_bits // self.tables) if self.tables else 1
        widest = min(n_bits, MAX_DIRECTORY_BITS)
        if not substring <= self.directory_bits <= widest:
            raise ValueError(
                f"directory_bits must be from {substring} to {widest} for n_bits={n_bits}"
                + (f" and {self.tables} tables" if self.tables else "")
                + f", got {self.directory_bits}; leave it out to have it chosen"
            )
        return self


DEFAULT_LAYOUT = LayoutOptions()
