"""Numbers as a reader writes them: a true minus sign, three decimals at most, powers of ten when huge.

The figures' JavaScript has the same rule (`fmt` in engine.js); a browser test holds one against the other.
"""

import math

_RAISED = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")


def number(value: float, decimals: int = 3) -> str:
    """A number for reading.

    >>> number(-13.384), number(2.0), number(0.1 + 0.2), number(12_345_678.0)
    ('−13.384', '2', '0.3', '1.2 × 10⁷')
    """
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if abs(value) >= 1e6:
        mantissa, power = f"{value:.1e}".split("e")
        return f"{mantissa} × 10{str(int(power)).translate(_RAISED)}".replace("-", "−")
    text = f"{value:.{min(decimals, 1) if abs(value) >= 1000 else decimals}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text.replace("-", "−")
