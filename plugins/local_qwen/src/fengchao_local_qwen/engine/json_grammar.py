"""
Which bytes may come next in a JSON text: a small machine with a stack, fed byte by byte.

It follows RFC 8259. Only the white space that pretty-printing needs is let through, so that a model cannot go on with
blanks for ever.
"""

from __future__ import annotations

from typing import Literal

_SPACE = b" \t\n\r"
_MOST_SPACE = 40
_LITERALS = {ord("t"): b"rue", ord("f"): b"alse", ord("n"): b"ull"}
_DIGITS = b"0123456789"
_HEX = b"0123456789abcdefABCDEF"
_ESCAPED = b'"\\/bfnrt'

_NUMBER_NEXT: dict[str, tuple[tuple[bytes, str], ...]] = {
    "-": ((b"0", "0"), (b"123456789", "i")),
    "0": ((b".", "."), (b"eE", "e")),
    "i": ((_DIGITS, "i"), (b".", "."), (b"eE", "e")),
    ".": ((_DIGITS, "f"),),
    "f": ((_DIGITS, "f"), (b"eE", "e")),
    "e": ((b"+-", "s"), (_DIGITS, "x")),
    "s": ((_DIGITS, "x"),),
    "x": ((_DIGITS, "x"),),
}
_NUMBER_ENDS = "0ifx"

Top = Literal["object", "value"]


class JsonMachine:
    """
    The state after some bytes. Cheap to copy.

    Args:
        top: whether the text must be an object, or may be any value.
    """

    __slots__ = ("_expect", "_inner", "_space", "_stack", "_top")

    def __init__(self, top: Top = "object") -> None:
        self._top = top
        self._stack = ""  # the containers that are open, as `{` and `[`
        # What comes next: v a value, k a key or }, K a key, : a colon, `,` a comma or the end, e a value or ], . nothing;
        # within a string S (s where it is a key), within a number N, within a literal L.
        self._expect = "v"
        self._inner = ""  # the state of a number or an escape, the rest of a literal
        self._space = 0

    def copy(self) -> JsonMachine:
        """An independent machine in the same state."""
        other = JsonMachine(self._top)
        other._stack, other._expect = self._stack, self._expect
        other._inner, other._space = self._inner, self._space
        return other

    @property
    def is_complete(self) -> bool:
        """Whether the text is whole as it stands."""
        return self._expect == "." or (
            self._expect == "N" and not self._stack and self._inner in _NUMBER_ENDS
        )

    @property
    def may_go_on(self) -> bool:
        """Whether anything may follow: false once the text is whole beyond doubt."""
        return self._expect != "."

    def feed(self, data: bytes) -> bool:
        """Take bytes; False where one of them may not come. The machine is of no use after that."""
        return all(self._take(byte) for byte in data)

    def closing(self) -> bytes:
        """The shortest text that makes it whole; for machines that were only fed what they allow."""
        out = bytearray()
        machine = self.copy()
        while not machine.is_complete:
            piece = machine.step_to_end()
            out += piece
            machine.feed(piece)
        return bytes(out)

    def step_to_end(self) -> bytes:
        """A few bytes towards the end."""
        if self._expect in "Ss":
            if not self._inner:
                return b'"'
            return b'"' if self._inner == "\\" else b"0" * (5 - len(self._inner))
        if self._expect == "L":
            return self._inner.encode()
        if self._expect == "N" and self._inner not in _NUMBER_ENDS:
            return b"0"
        if self._expect == "v":
            return b"{}" if not self._stack and self._top == "object" else b"0"
        if self._expect == "K":
            return b'""'
        if self._expect == ":":
            return b":"
        return b"}" if self._stack.endswith("{") else b"]"

    def _take(self, byte: int) -> bool:
        expect = self._expect
        if expect in "Ss":
            return self._in_string(byte)
        if expect == "L":
            if self._inner[0] != chr(byte):
                return False
            self._inner = self._inner[1:]
            if not self._inner:
                self._after_value()
            return True
        if expect == "N":
            for group, state in _NUMBER_NEXT[self._inner]:
                if byte in group:
                    self._inner = state
                    return True
            if self._inner not in _NUMBER_ENDS:
                return False
            self._after_value()
        if byte in _SPACE:
            self._space += 1
            return self._space <= _MOST_SPACE and self._expect != "."
        self._space = 0
        return self._structure(byte)

    def _structure(self, byte: int) -> bool:
        expect, character = self._expect, chr(byte)
        if expect in "ve":
            if character == "]" and expect == "e":
                return self._pop("[")
            return self._value(byte)
        if expect in "kK":
            if character == "}" and expect == "k":
                return self._pop("{")
            self._expect, self._inner = "s", ""
            return character == '"'
        if expect == ":":
            self._expect = "v"
            return character == ":"
        if expect == ",":
            if character == ",":
                self._expect = "K" if self._stack.endswith("{") else "v"
                return True
            return (character == "}" and self._pop("{")) or (character == "]" and self._pop("["))
        return False

    def _value(self, byte: int) -> bool:
        character = chr(byte)
        if not self._stack and self._top == "object" and character != "{":
            return False
        if character in "{[":
            self._stack += character
            self._expect = "k" if character == "{" else "e"
        elif character == '"':
            self._expect, self._inner = "S", ""
        elif byte in _LITERALS:
            self._expect, self._inner = "L", _LITERALS[byte].decode()
        elif byte in b"-0123456789":
            self._expect = "N"
            self._inner = character if character in "-0" else "i"
        else:
            return False
        return True

    def _in_string(self, byte: int) -> bool:
        if self._inner == "\\":
            if byte == ord("u"):
                self._inner = "u"
                return True
            self._inner = ""
            return byte in _ESCAPED
        if self._inner:
            self._inner = "" if len(self._inner) == 4 else self._inner + "h"
            return byte in _HEX
        if byte == ord("\\"):
            self._inner = "\\"
        elif byte == ord('"'):
            if self._expect == "s":
                self._expect = ":"
            else:
                self._after_value()
        return byte >= 0x20

    def _after_value(self) -> None:
        self._inner = ""
        self._expect = "," if self._stack else "."

    def _pop(self, opened: str) -> bool:
        if not self._stack.endswith(opened):
            return False
        self._stack = self._stack[:-1]
        self._after_value()
        return True
