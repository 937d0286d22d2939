"""cosine_decay(step, peak_lr, total_steps, floor_lr=0.0) -> a rate: half a cosine wave down, then the floor."""

import cmath
import math

import numpy as np

from gdlab.assignments.schedules._curve import a_rate, below, beside_the_right_one, curve, whole_number
from gdlab.judge.exercise import Alternative, Exercise, Mistake, Part
from gdlab.schedules import cosine_decay


def _cases(rng):
    def case(part, *, to_zero=False, beyond=False):
        total, peak = whole_number(rng, 6, 13), a_rate(rng)
        floor = 0.0 if to_zero else below(rng, peak)
        return curve(part, 0, total + (total // 2 if beyond else 0), peak_lr=peak, total_steps=total, floor_lr=floor)

    return [
        case("fall", to_zero=True),
        case("fall", to_zero=True),
        case("floor"),
        case("floor"),
        case("hold", to_zero=True, beyond=True),
        case("hold", beyond=True),
    ]


def _between(floor_lr, peak_lr, share):
    return floor_lr + (peak_lr - floor_lr) * share


def _half_wave(progress):
    return (1 + math.cos(math.pi * progress)) / 2


def _share(step, total_steps):
    return _half_wave(min(step / total_steps, 1))


def _full_wave(step, peak_lr, total_steps, floor_lr):
    return _between(floor_lr, peak_lr, _half_wave(2 * min(step / total_steps, 1)))


def _forgets_half(step, peak_lr, total_steps, floor_lr):
    return _between(floor_lr, peak_lr, 2 * _share(step, total_steps))


def _rises_after_end(step, peak_lr, total_steps, floor_lr):
    return _between(floor_lr, peak_lr, _half_wave(step / total_steps))


def _floor_by_max(step, peak_lr, total_steps, floor_lr):
    return max(floor_lr, peak_lr * _share(step, total_steps))


def _floor_added(step, peak_lr, total_steps, floor_lr):
    return floor_lr + peak_lr * _share(step, total_steps)


def _ignores_floor(step, peak_lr, total_steps, floor_lr):
    return peak_lr * _share(step, total_steps)


def _degrees(step, peak_lr, total_steps, floor_lr):
    return _between(floor_lr, peak_lr, (1 + math.cos(180 * min(step / total_steps, 1))) / 2)


def _quarter_wave(step, peak_lr, total_steps, floor_lr):
    return _between(floor_lr, peak_lr, math.cos(math.pi / 2 * min(step / total_steps, 1)))


def _upside_down(step, peak_lr, total_steps, floor_lr):
    return _between(floor_lr, peak_lr, 1 - _share(step, total_steps))


def _straight(step, peak_lr, total_steps, floor_lr):
    return _between(floor_lr, peak_lr, 1 - min(step / total_steps, 1))


def _zero_after_end(step, peak_lr, total_steps, floor_lr):
    return _between(floor_lr, peak_lr, _share(step, total_steps)) if step <= total_steps else 0.0


def _floor_on_the_last_step(step, peak_lr, total_steps, floor_lr):
    return _between(floor_lr, peak_lr, _share(step, total_steps - 1))


def _by_half_angle(step, peak_lr, total_steps, floor_lr=0.0):
    angle = math.pi / 2 * min(step, total_steps) / total_steps
    return floor_lr + (peak_lr - floor_lr) * math.cos(angle) ** 2


def _peak_minus_sine_squared(step, peak_lr, total_steps, floor_lr=0.0):
    if step > total_steps:
        return floor_lr
    return peak_lr - (peak_lr - floor_lr) * math.sin(math.pi * step / (2 * total_steps)) ** 2


def _middle_and_amplitude(step, peak_lr, total_steps, floor_lr=0.0):
    middle, amplitude = (peak_lr + floor_lr) / 2, (peak_lr - floor_lr) / 2
    return middle + amplitude * np.cos(np.pi * np.clip(step / total_steps, 0, 1))


def _complex_exponential(step, peak_lr, total_steps, floor_lr=0.0):
    turn = cmath.exp(1j * cmath.pi * min(1.0, step / total_steps))
    return floor_lr + (peak_lr - floor_lr) * (1 + turn.real) / 2


def _in_torch(step, peak_lr, total_steps, floor_lr=0.0):
    import torch

    progress = torch.tensor(step / total_steps).clamp(max=1.0)
    return torch.lerp(torch.tensor(floor_lr), torch.tensor(peak_lr), (1 + torch.cos(torch.pi * progress)) / 2)


def _in_float32(step, peak_lr, total_steps, floor_lr=0.0):
    share = np.float32(0.5) * (1 + np.cos(np.float32(np.pi) * np.float32(min(step / total_steps, 1))))
    return np.float32(floor_lr) + (np.float32(peak_lr) - np.float32(floor_lr)) * share


EXERCISE = Exercise(
    name="cosine_decay",
    version=1,
    reference=cosine_decay,
    cases=_cases,
    parts=(
        Part("fall", "from the peak down to 0", 1),
        Part("floor", "from the peak down to floor_lr", 1),
        Part("hold", "stays there beyond the end", 1),
    ),
    mistakes=(
        Mistake(
            "full-wave", _full_wave, "You return to the peak: that is a whole wave, and the way down is half of one."
        ),
        Mistake("forgets-half", _forgets_half, "Twice too high at step 0: how large is 1 + cos(0)?"),
        Mistake("rises-after-end", _rises_after_end, "Beyond the end your rate climbs again: let progress stop at 1."),
        Mistake(
            "floor-by-max",
            _floor_by_max,
            "You fall towards 0, hit the floor early and crawl along it; the wave itself should end at the floor.",
        ),
        Mistake(
            "floor-added", _floor_added, "You start above the peak, by the floor: how far is it from peak to floor?"
        ),
        Mistake("ignores-floor", _ignores_floor, "Your curve ends at 0, whatever floor_lr says."),
        Mistake("degrees", _degrees, "Your curve swings wildly: cos expects radians, and half a turn is π of them."),
        Mistake("quarter-wave", _quarter_wave, "The middle is too high: you used a quarter wave."),
        Mistake("upside-down", _upside_down, "Your rate climbs from the floor to the peak: is cos(0) large or small?"),
        Mistake("straight", _straight, "You arrive at the right place, but in a straight line; we want a wave."),
        Mistake("zero-after-end", _zero_after_end, "Past the end the floor still holds; yours drops to 0."),
        Mistake(
            "floor-on-the-last-step",
            _floor_on_the_last_step,
            "You divide by total_steps − 1, so the last step of the run has the floor, as some libraries do; here it is reached at step total_steps.",
        ),
    ),
    properties=(),
    alternatives=(
        Alternative("the square of a cosine of half the angle", _by_half_angle),
        Alternative("peak minus the square of a sine", _peak_minus_sine_squared),
        Alternative("a middle and an amplitude, with NumPy", _middle_and_amplitude),
        Alternative("a complex exponential", _complex_exponential),
        Alternative("torch tensors", _in_torch),
        Alternative("float32", _in_float32),
    ),
    notice="Notice that half of the way down takes half of the steps: slow at both ends, steepest in the middle.",
    axes=("step",),
    picture=beside_the_right_one(cosine_decay, 14, peak_lr=1e-3, total_steps=10, floor_lr=2e-4),
    protocols=("every_step",),
    equivalent_mutants={
        "progress = min(step / total_steps, 1) → progress = min(1, step / total_steps)": "either way round, min gives the smaller of the two",
    },
)
