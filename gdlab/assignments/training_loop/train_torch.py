"""train_torch(model, loss_fn, optimizer, scheduler, batches, epochs) -> losses: forward, backward, step, zero_grad.

The judge builds a small network from plain numbers, has it trained, and compares losses, weights and the last
rate. Three slips end in the same numbers, since in all of them nothing moves; whether a gradient came before
the first step, and whether there was a step at all, tells them apart. Torch is imported where a model is made.
"""

import numpy as np

from gdlab.assignments._shared import signed
from gdlab.figures.curve_svg import curve_picture
from gdlab.judge.answer import Answer
from gdlab.judge.compare import is_numeric
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part, Property

PICTURE_EPOCHS = 8


def train_torch(model, loss_fn, optimizer, scheduler, batches, epochs):
    """The loop in its usual order; the loss of each batch before its update."""
    losses = []
    for _ in range(epochs):
        for X, y in batches:
            optimizer.zero_grad()
            loss = loss_fn(model(X), y)
            loss.backward()
            optimizer.step()
            scheduler.step()
            losses.append(loss.item())
    return losses


def _torch_cases(rng):
    def case(part, optimizer, epochs, rates):
        d, hidden = int(rng.integers(2, 4)), int(rng.integers(2, 4))
        sizes = [4] * int(rng.integers(1, 3)) + [int(rng.integers(2, 4))]
        steps = epochs * len(sizes)
        return Case(
            part,
            {
                "model": [
                    signed(rng, 0.3, 1, (hidden, d)),
                    signed(rng, 0.1, 0.5, hidden),
                    signed(rng, 0.3, 1, (1, hidden)),
                    signed(rng, 0.1, 0.5, 1),
                ],
                "loss_fn": "half the mean of (1 + |label|)·(prediction − label)²",
                "optimizer": optimizer,
                "scheduler": rates(steps),
                "batches": [[signed(rng, 0.3, 1.5, (size, d)), signed(rng, 0.5, 2, (size, 1))] for size in sizes],
                "epochs": epochs,
            },
        )

    def sgd():
        return {"name": "SGD", "lr": float(rng.uniform(0.05, 0.1)), "momentum": float(rng.uniform(0.5, 0.8))}

    def adam():
        return {"name": "Adam", "lr": float(rng.uniform(0.05, 0.1))}

    def steady(steps):
        return [1.0] * (steps + 1)

    def falling(steps):
        return (1 / (1 + rng.uniform(0.2, 0.4) * np.arange(steps + 1))).tolist()

    return [
        case("steady", sgd(), 2, steady),
        case("rates", sgd(), 2, falling),
        case("rates", adam(), 2, falling),
    ]


def _numbers(inputs, value):
    """What a right answer must have: losses, weights and the last rate."""
    return {"losses": value["losses"], "weights": value["weights"], "rate": value["rate"]}


def _numbers_and_order(inputs, value):
    """The same, and whether a gradient was there before the first step: where nothing moves, that is the difference."""
    events = value["events"]
    before = events[: events.index("step")] if "step" in events else None
    return {**_numbers(inputs, value), "gradients before the first step": None if before is None else bool(before)}


def _calling(*order):
    """The loop whose calls come in this order, and no others: zero_grad, forward, backward, step, schedule."""

    def train(model, loss_fn, optimizer, scheduler, batches, epochs):
        calls = {"zero_grad": optimizer.zero_grad, "step": optimizer.step, "schedule": scheduler.step}
        losses = []
        for X, y in [batch for _ in range(epochs) for batch in batches]:
            for name in order:
                if name == "forward":
                    losses.append(loss_fn(model(X), y))
                elif name == "backward":
                    losses[-1].backward()
                else:
                    calls[name]()
        return [loss.item() for loss in losses]

    return train


_piling_up = _calling("forward", "backward", "step", "schedule")


def _zeroed_once_an_epoch(model, loss_fn, optimizer, scheduler, batches, epochs):
    losses = []
    for _ in range(epochs):
        optimizer.zero_grad()
        losses += _piling_up(model, loss_fn, optimizer, scheduler, batches, 1)
    return losses


class _Still:
    """A scheduler that never moves."""

    def step(self):
        pass


def _schedule_once_an_epoch(model, loss_fn, optimizer, scheduler, batches, epochs):
    losses = []
    for _ in range(epochs):
        losses += train_torch(model, loss_fn, optimizer, _Still(), batches, 1)
        scheduler.step()
    return losses


def _schedule_never(model, loss_fn, optimizer, scheduler, batches, epochs):
    return train_torch(model, loss_fn, optimizer, _Still(), batches, epochs)


def _loss_after_update(model, loss_fn, optimizer, scheduler, batches, epochs):
    losses = []
    for _ in range(epochs):
        for X, y in batches:
            train_torch(model, loss_fn, optimizer, scheduler, [(X, y)], 1)
            losses.append(loss_fn(model(X), y).item())
    return losses


def _flat_labels(model, loss_fn, optimizer, scheduler, batches, epochs):
    return train_torch(model, loss_fn, optimizer, scheduler, [(X, y.flatten()) for X, y in batches], epochs)


def _labels_first(model, loss_fn, *rest):
    return train_torch(model, lambda prediction, label: loss_fn(label, prediction), *rest)


def _one_loss_an_epoch(model, loss_fn, optimizer, scheduler, batches, epochs):
    losses = train_torch(model, loss_fn, optimizer, scheduler, batches, epochs)
    return np.reshape(losses, (epochs, -1)).mean(axis=1)


def _last_epoch_only(model, loss_fn, optimizer, scheduler, batches, epochs):
    return train_torch(model, loss_fn, optimizer, scheduler, batches, epochs)[-len(batches) :]


def _zero_last(model, loss_fn, optimizer, scheduler, batches, epochs):
    model.train()
    losses = []
    for _ in range(epochs):
        for X, y in batches:
            loss = loss_fn(model.forward(X), y)
            losses.append(float(loss))
            loss.backward()
            optimizer.step()
            scheduler.step()
            model.zero_grad(set_to_none=False)
    return losses


def _with_a_closure(model, loss_fn, optimizer, scheduler, batches, epochs):
    losses = []
    for _ in range(epochs):
        for X, y in batches:

            def closure(X=X, y=y):
                optimizer.zero_grad()
                loss = loss_fn(model(X), y)
                loss.backward()
                return loss

            losses.append(optimizer.step(closure).item())
            scheduler.step()
    return losses


def _with_autograd_grad(model, loss_fn, optimizer, scheduler, batches, epochs):
    import torch

    weights, losses = list(model.parameters()), []
    for X, y in [batch for _ in range(epochs) for batch in batches]:
        loss = loss_fn(model(X), y)
        for weight, grad in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.grad = grad
        optimizer.step()
        scheduler.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def _zeroing_by_hand(model, loss_fn, optimizer, scheduler, batches, epochs):
    losses, step = np.zeros(epochs * len(batches)), 0
    while step < len(losses):
        X, y = batches[step % len(batches)]
        for weight in model.parameters():
            weight.grad = None
        loss = loss_fn(model(X), y)
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses[step], step = loss.detach().numpy(), step + 1
    return losses


def _own_forward_pass(model, loss_fn, optimizer, scheduler, batches, epochs):
    import torch

    losses = ()
    for _ in range(epochs):
        for X, y in batches:
            prediction = X
            for layer in model:
                prediction = layer(prediction)
            optimizer.zero_grad()
            loss_fn(prediction, y).backward()
            with torch.no_grad():
                losses += (loss_fn(model(X), y).item(),)
            optimizer.step()
            scheduler.step()
    return losses


def _loss_of_your_run(answer: Answer) -> str:
    inputs = {**_torch_cases(np.random.default_rng(5))[-1].inputs, "epochs": PICTURE_EPOCHS}
    right = EXERCISE.local(train_torch)(inputs).value["losses"]
    came = answer(inputs).value
    yours = came.get("losses") if isinstance(came, dict) else None
    curve = yours if is_numeric(yours) and np.ndim(yours) == 1 else []
    return curve_picture([("right", right), ("yours", curve)], x_label="step", y_label="loss of the batch")


EXERCISE = Exercise(
    name="train_torch",
    version=1,
    reference=train_torch,
    cases=_torch_cases,
    parts=(
        Part("steady", "training with a steady rate", 3),
        Part("rates", "a rate that changes with every batch", 2),
        Part("manners", "losses that are plain numbers", 1),
    ),
    mistakes=(
        Mistake(
            "gradients-pile-up",
            _piling_up,
            "Old gradients join the new ones: backward adds to what is there. Who clears it away?",
        ),
        Mistake(
            "zeroed-before-step",
            _calling("forward", "backward", "zero_grad", "step", "schedule"),
            "You erase the gradients after backward and before the step, so the optimizer finds nothing to use.",
        ),
        Mistake(
            "zeroed-once-an-epoch",
            _zeroed_once_an_epoch,
            "You clear the gradients once an epoch, and within it they pile up.",
        ),
        Mistake(
            "steps-before-backward",
            _calling("zero_grad", "forward", "step", "backward", "schedule"),
            "You step before there is a gradient to step with.",
        ),
        Mistake(
            "never-steps",
            _calling("zero_grad", "forward", "backward", "schedule"),
            "Gradients come and go, but the weights never move: who takes the step?",
        ),
        Mistake(
            "schedule-before-step",
            _calling("zero_grad", "forward", "backward", "schedule", "step"),
            "Your scheduler moves on before the optimizer has stepped, so the first rate is never used.",
        ),
        Mistake(
            "schedule-per-epoch",
            _schedule_once_an_epoch,
            "You move the scheduler once an epoch. This one counts batches.",
        ),
        Mistake(
            "schedule-never",
            _schedule_never,
            "The rate stays where it began: nobody tells the scheduler that a step was made.",
        ),
        Mistake(
            "loss-after-update",
            _loss_after_update,
            "You record the loss after the update. Record the one that made the gradient.",
        ),
        Mistake(
            "flat-labels",
            _flat_labels,
            "Your predictions and labels differ in shape, (B, 1) and (B,), so they spread into a square of B × B differences.",
        ),
        Mistake(
            "labels-first",
            _labels_first,
            "Your loss function gets labels where it wants predictions. For some losses that makes no difference; for most it does.",
        ),
        Mistake(
            "one-loss-an-epoch",
            _one_loss_an_epoch,
            "You average the losses of each epoch. Return the loss of every batch.",
        ),
        Mistake(
            "last-epoch-only",
            _last_epoch_only,
            "Your list starts anew with each epoch. Return the losses of the whole run.",
        ),
    ),
    properties=(
        Property(
            name="keeps-the-graph",
            part="manners",
            holds=lambda inputs, reply: not (isinstance(reply.value, dict) and reply.value.get("keeps a graph")),
            sentence="Your losses are right, but each is a tensor that keeps its whole graph in memory. Turn it into a plain number.",
        ),
    ),
    alternatives=(
        Alternative("zeroes last, through the model", _zero_last),
        Alternative("closure", _with_a_closure),
        Alternative("autograd.grad, losses in a tensor", _with_autograd_grad),
        Alternative("zeroes by hand, counts with while", _zeroing_by_hand),
        Alternative("layer by layer, losses in a tuple", _own_forward_pass),
    ),
    notice="Notice that the four calls must come in this order, but it may begin anywhere: zeroing first or last is the same circle.",
    axes={"losses": ("step",), "weights": ("row", "column")},
    picture=_loss_of_your_run,
    protocols=("train_a_torch_model",),
    judged_on=_numbers,
    recognised_by=_numbers_and_order,
    equivalent_mutants={
        "optimizer.zero_grad() ⇄ loss = loss_fn(model(X), y)": "The forward pass neither reads nor writes gradients.",
        "scheduler.step() ⇄ losses.append(loss.item())": "The loss was measured long before.",
    },
)
