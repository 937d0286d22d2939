"""What several exercises declare: inputs that are never degenerate, and properties that all functions keep."""

from gdlab.judge.exercise import Property


def signed(rng, low: float, high: float, shape=None):
    """Numbers whose size lies between `low` and `high`, of either sign: never near zero, never alike."""
    return rng.uniform(low, high, shape) * rng.choice([-1.0, 1.0], shape)


def leaves_inputs_alone(part: str) -> Property:
    """The arrays that the caller passed are as they were."""
    return Property(
        name="changes-its-input",
        part=part,
        holds=lambda inputs, reply: not reply.changed,
        sentence="Your answer is right, but the caller's array changed too. Make a new array instead of writing into one you were given.",
    )


def draws_only_from_rng(part: str) -> Property:
    """No global generator moved."""
    return Property(
        name="touches-global-randomness",
        part=part,
        holds=lambda inputs, reply: not reply.global_randomness,
        sentence="Draw from the rng you were given and from no other source, so that runs repeat.",
    )
