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


def significant(value: float, digits: int = 3) -> str:
    """A number by its leading digits, however small: learning rates, ticks of an axis.

    >>> significant(0.0003), significant(0.000169327), significant(3e-5), significant(100_000.0), significant(1e-6)
    ('0.0003', '0.000169', '3 × 10⁻⁵', '100,000', '10⁻⁶')
    """
    if not math.isfinite(value) or value == 0:
        return number(value)
    mantissa, power = f"{value:.{digits - 1}e}".split("e")
    power = int(power)
    if not -5 < power < 6:
        if "." in mantissa:
            mantissa = mantissa.rstrip("0").rstrip(".")
        times = {"1": "", "-1": "−"}.get(mantissa, f"{mantissa} × ")
        return f"{times}10{str(power).translate(_RAISED)}".replace("-", "−")
    text = f"{value:,.{max(0, digits - 1 - power)}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "−")
