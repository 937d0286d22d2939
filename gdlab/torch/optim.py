"""Any rule of `gdlab.rules` as a torch optimizer: the textbook line is the kernel.

A rule is a pure function, θ, state ← update(θ, g, state, scalars, η). `torch.compile` turns it, written back in place,
into one kernel that reads and writes every number once; on AdamW that is as fast as torch's own fused kernel, which
was written by hand. One kernel with a free length serves all tensors, so it is compiled once and not once a shape.

    optimizer = RuleOptimizer(model.parameters(), adamw(weight_decay=0.1), lr=3e-4)

A call of a kernel costs about as much as 10,000 numbers. Large tensors are therefore updated where they are, one call
each; small ones are packed into one long tensor, updated with one call, and copied back. A rule that looks at a matrix
as a whole (Muon) has one call for each matrix, and two kernels: one for wide matrices and one for tall ones.

How far a parameter has come is counted for each by itself, as in torch: steps without a gradient do not count.
Parameters that have always been updated together share their count and form a *cohort*; when one of them has no
gradient, the cohort parts in two. Counts and scalars live on the parameters' device, so that no step waits for a GPU.

Of a parameter that is cut up among processes (a DTensor, as FSDP2 makes it) a process has one part, its numbers here.
What the rule remembers of it is cut up in the same way, and every kernel sees a plain tensor: that part.
"""

import warnings
from collections.abc import Callable, Iterable
from functools import cache
from types import FunctionType
from typing import Any

import torch
import torch._dynamo
from torch.distributed.tensor import DTensor

from gdlab.rules import Rule, leaves
from gdlab.torch.devices import widest_float

SMALL = 65_536
"""Tensors with fewer numbers than this are packed. Measured on two processor cores."""

_SHORTEST_PACK = 64
"""A length of 0 or 1 would be a constant of the kernel: packs are longer, whatever is in them."""


class RuleOptimizer(torch.optim.Optimizer):
    """A rule as a `torch.optim.Optimizer`.

    Args:
        params: parameters, or dicts of parameters with a "rule" or "lr" of their own (parameter groups).
        rule: the rule of all groups that do not name one.
        lr: the learning rate, a number or a tensor of no dimension. A tensor on the parameters' device is what a
            captured CUDA graph needs: a number would be frozen into the graph.
        compiled: compile the rule. Without a compiler the same rule runs uncompiled, and one line says so.

    The state of a parameter is its "step", the number of updates made, and what `rule.state_names` says.
    `state_dict` keeps the rule's name, not its settings: those are the ones of the optimizer it is loaded into.

    A rule for matrices (`muon`) takes parameters with two axes; give the others a group with a rule of their own.
    A rule that looks at all parameters at once (`clip_global_norm`) runs uncompiled on all of them together. They must
    then form one cohort: one group, one device and dtype, and a gradient for each at every step.

    Raises:
        ValueError: if lr is negative, a parameter is complex or not a matrix where the rule is for matrices, a rule
            that looks at more than a number is to see a part of a sharded parameter, or a loaded state belongs to
            another rule.

    >>> from gdlab.rules import momentum
    >>> theta = torch.nn.Parameter(torch.tensor([10.0]))
    >>> optimizer = RuleOptimizer([theta], momentum(0.5), lr=0.25, compiled=False)
    >>> for _ in range(2):
    ...     theta.grad = torch.tensor([4.0])
    ...     optimizer.step()
    >>> theta.item(), optimizer.state[theta]["velocity"].item()
    (7.5, 6.0)
    """

    _step_supports_amp_scaling = True  # GradScaler leaves unscaling, and skipping a bad step, to `step`

    def __init__(self, params: Iterable, rule: Rule, lr: float | torch.Tensor, *, compiled: bool = True):
        self._rule, self._rules, self._compiled = rule, [], compiled
        self._cohorts: list[_Cohort] | None = None
        # Capturable is true of every group: torch asks before it lets a step into a CUDA graph.
        super().__init__(params, {"lr": lr, "capturable": True})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters; a "rule" of their own and an "lr" may come with them."""
        param_group = dict(param_group)
        rule = param_group.pop("rule", self._rule)
        lr = param_group.get("lr", self.defaults["lr"])
        if not torch.is_tensor(lr) and not lr >= 0:
            raise ValueError(f"lr is a learning rate and cannot be below 0, but is {lr!r}.")
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        if any(parameter.is_complex() for parameter in group["params"]):
            self.param_groups.pop()
            raise ValueError("A complex parameter has no rule here: give its real and imaginary parts by themselves.")
        shapes = [tuple(parameter.shape) for parameter in group["params"] if parameter.dim() != 2]
        if shapes and looks_at(rule) == "matrix":
            self.param_groups.pop()
            raise ValueError(
                f"{rule.name} is a rule for matrices, but a parameter has the shape {shapes[0]}: give vectors, numbers and "
                'whatever has more axes a group with another rule, {"params": […], "rule": adamw(), "lr": …}.'
            )
        if any(isinstance(parameter, DTensor) for parameter in group["params"]) and looks_at(rule) != "number":
            self.param_groups.pop()
            raise ValueError(
                f"{rule.name} looks at more than one number at a time, and of a sharded parameter a process has a part "
                "only: replicate the model, or give it a rule that moves each number by itself (adamw, lion, …)."
            )
        group["rule"] = rule.name  # the state_dict is plain values
        self._rules.append(rule)
        self._cohorts = None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` of an optimizer with the same rules returned."""
        for rule, group in zip(self._rules, state_dict["param_groups"], strict=False):
            if group.get("rule") != rule.name:
                raise ValueError(
                    f"This state was saved by the rule {group.get('rule')!r}, but here its parameters follow "
                    f"{rule.name!r}: what they remember differs. Load it into an optimizer with the same rule."
                )
        super().load_state_dict(state_dict)
        for parameter, state in self.state.items():  # torch shares the saved tensors where it can
            self.state[parameter] = {name: value.clone() for name, value in state.items()}

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_rule": self._rule, "_rules": self._rules, "_compiled": self._compiled}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._cohorts = None  # also after load_state_dict: the states are other tensors now

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; returns the closure's loss, if there is a closure."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        grad_scale, found_inf = getattr(self, "grad_scale", None), getattr(self, "found_inf", None)
        if self._cohorts is None:
            self._assemble()
        if self._waiting:
            self._admit()
        ready = []
        for cohort in list(self._cohorts):
            grads = [parameter.grad for parameter in cohort.params]
            if any(grad is None for grad in grads):
                cohort = self._part(cohort)
                grads = [grad for grad in grads if grad is not None]
            if cohort is not None:
                ready.append((cohort, grads))
        self._refuse_to_look_at_a_part()
        for cohort, grads in ready:
            cohort.advance([here(grad) for grad in grads], self.param_groups[cohort.group]["lr"], grad_scale, found_inf)
        return loss

    # ---------------------------------------------------------------- cohorts

    def _assemble(self) -> None:
        """Cohorts of all parameters that have a state; the others wait for their first gradient."""
        self._cohorts, self._waiting, counted = [], [], {}
        for number, group in enumerate(self.param_groups):
            for parameter in group["params"]:
                if self.state.get(parameter):
                    step = float(self.state[parameter]["step"])
                    counted.setdefault((number, parameter.device, parameter.dtype, step), []).append(parameter)
                else:
                    self._waiting.append((number, parameter))
        for (number, _, _, step), params in counted.items():
            self._found(number, params, step)

    def _admit(self) -> None:
        """Those waiting that now have a gradient begin, each at step 0."""
        new = {}
        for number, parameter in self._waiting:
            if parameter.grad is not None:
                new.setdefault((number, parameter.device, parameter.dtype), []).append(parameter)
        if new:
            self._waiting = [(number, parameter) for number, parameter in self._waiting if parameter.grad is None]
            for (number, _, _), params in new.items():
                self._found(number, params, 0.0)

    def _part(self, cohort: "_Cohort") -> "_Cohort | None":
        """Part a cohort into those with a gradient, which are returned, and those without."""
        having = [parameter for parameter in cohort.params if parameter.grad is not None]
        if not having:
            return None
        without = [parameter for parameter in cohort.params if parameter.grad is None]
        step = float(cohort.step)
        self._cohorts.remove(cohort)
        self._found(cohort.group, without, step)
        return self._found(cohort.group, having, step)

    def _found(self, number: int, params: list, step: float) -> "_Cohort":
        cohort = _Cohort(self._rules[number], number, params, self.state, step, self._compiled)
        self._cohorts.append(cohort)
        return cohort

    def _refuse_to_look_at_a_part(self) -> None:
        for cohort in self._cohorts:
            if cohort.sight == "all" and len(self._cohorts) > 1:
                raise RuntimeError(
                    f"{cohort.rule.name} looks at all gradients together, so all parameters must be updated together: "
                    "one group, one device and dtype, a gradient for each at every step. Leave clipping out of the rule "
                    "and call torch.nn.utils.clip_grad_norm_ before the step."
                )


class _Cohort:
    """Parameters of one group, device and dtype with one count of steps, and where their numbers lie.

    Attributes:
        step: how many updates were made, a tensor that the states of all its parameters share.
        large: the tensors that are updated where they are.
        pack: the small ones; None if there are none.
    """

    def __init__(self, rule: Rule, group: int, params: list, states: dict, step: float, compiled: bool):
        self.rule, self.group, self.params, self.compiled = rule, group, params, compiled
        self.device, self.dtype = params[0].device, params[0].dtype
        parts = [here(parameter) for parameter in params]
        self.sight = looks_at(rule)
        self.step = torch.tensor(step, dtype=torch.float32, device=self.device)
        self.lr, self.grad_scale, self.found_inf, *self.scalars = [
            torch.ones((), dtype=widest_float(self.device), device=self.device)
            for _ in range(3 + len(rule.scalar_names))
        ]
        rows = self.sight == "number"
        small = [k for k, p in enumerate(parts) if rows and (p.numel() < SMALL or not p.is_contiguous())]
        self._small = sorted(small, key=lambda place: params[place].dim() != 1)
        self._large = sorted(set(range(len(params))) - set(small))
        self.pack = _Pack(rule, [params[k] for k in self._small], states) if small else None
        self._new = True
        self.large = [_Large(rule, params[k], states, rows) for k in self._large]
        for parameter in params:
            states[parameter]["step"] = self.step

    def advance(self, grads: list, lr, grad_scale, found_inf) -> None:
        """One step of the rule for every parameter of the cohort."""
        if self._new:
            self._new = False
            _refuse_sparse(grads)
        if self.device.type == "cpu":
            if found_inf is not None and found_inf.item():
                return
            found_inf = None
        scaled = grad_scale is not None or found_inf is not None
        if scaled:
            _put(self.grad_scale, 1.0 if grad_scale is None else grad_scale)
            _put(self.found_inf, 0.0 if found_inf is None else found_inf)
        _put(self.lr, lr)
        self._count(scaled and found_inf is not None)
        more = (self.scalars, self.lr, *((self.grad_scale, self.found_inf) if scaled else ()))
        if self.sight == "all":
            theta, state = [one.tensor for one in self.large], [one.state for one in self.large]
            update_in_place(self.rule, theta, grads, tuple(map(list, zip(*state, strict=True))), *more)
            return
        if self.pack:
            kernel = self._kernel(scaled, self.pack.theta)
            self.pack.gather([grads[k] for k in self._small])
            kernel(self.pack.theta, self.pack.grad, self.pack.state, *more)
            self.pack.scatter()
        for place, one in zip(self._large, self.large, strict=True):
            theta, state = one.numbers()
            self._kernel(scaled, theta)(theta, one.like(grads[place]), state, *more)

    def _count(self, may_skip: bool) -> None:
        """The scalars of this step, and one step more."""
        if self.device.type == "cpu":
            for held, value in zip(self.scalars, self.rule.scalars(int(self.step)), strict=True):
                held.fill_(value)
            self.step += 1
        else:
            count_on_device(self.rule, self.step, self.scalars, self.found_inf if may_skip else None)

    def _kernel(self, scaled: bool, theta: torch.Tensor) -> Callable:
        if not self.compiled:
            return _bound(self.rule)
        if theta.dim() == 1:
            return compiled_update(self.rule, self.dtype, self.device, scaled, LONG_ROW)
        if min(theta.shape) < 2 or not theta.is_contiguous():  # the compiler takes an axis of 0 or 1 for a constant
            return _bound(self.rule)
        wide = theta.shape[0] <= theta.shape[1]
        return compiled_update(self.rule, self.dtype, self.device, scaled, WIDE if wide else TALL)


class _Large:
    """A tensor that is updated where it is: as one row of numbers, or in its own shape."""

    def __init__(self, rule: Rule, parameter: torch.Tensor, states: dict, as_row: bool):
        self.tensor, self.as_row, own = here(parameter), as_row, states[parameter]
        if any(name not in own for name in rule.state_names):
            own.update(zip(rule.state_names, rule.init(self.tensor.detach()), strict=True))
        state = [here(own[name]) for name in rule.state_names]
        self.state = tuple(part.contiguous() if self.tensor.is_contiguous() else part for part in state)
        for name, part in zip(rule.state_names, self.state, strict=True):
            own[name] = everywhere(part, parameter)
        self._numbers: tuple[torch.Tensor, ...] | None = None

    def numbers(self) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """The parameter's and its state's numbers; found anew if they moved (`parameter.data = …`)."""
        if self._numbers is None or self._numbers[0].data_ptr() != self.tensor.data_ptr():
            parts = [part.detach() for part in (self.tensor, *self.state)]
            self._numbers = tuple(part.view(-1) for part in parts) if self.as_row else tuple(parts)
        return self._numbers[0], self._numbers[1:]

    def like(self, grad: torch.Tensor) -> torch.Tensor:
        """The gradient as the parameter's numbers are seen, in order; nothing of it is tracked within a step."""
        if grad.dtype is not self.tensor.dtype:
            grad = grad.to(self.tensor.dtype)
        return grad.reshape(-1) if self.as_row else grad.contiguous()


class _Pack:
    """Small tensors in one long row: one call of the kernel serves them all. Their states live in it for good.

    Vectors come first: joining them is one call, and most small tensors (biases, scales) are vectors.
    """

    def __init__(self, rule: Rule, params: list, states: dict):
        sizes = [here(parameter).numel() for parameter in params]
        length = max(sum(sizes), _SHORTEST_PACK)
        self.theta, self.grad = (torch.zeros(length, dtype=params[0].dtype, device=params[0].device) for _ in range(2))
        self.state = rule.init(self.theta)
        whole, params = params, [here(parameter) for parameter in params]
        self._params, self._vectors = params, sum(parameter.dim() == 1 for parameter in params)
        joined = sum(sizes[: self._vectors])
        self._joined_theta, self._joined_grad = self.theta[:joined], self.grad[:joined]
        self._thetas, self._grads = (_cut(row, params, sizes) for row in (self.theta, self.grad))
        for name, row in zip(rule.state_names, self.state, strict=True):
            for parameter, place in zip(whole, _cut(row, params, sizes), strict=True):
                if name in states[parameter]:
                    place.copy_(here(states[parameter][name]))
                states[parameter][name] = everywhere(place, parameter)

    def gather(self, grads: list) -> None:
        if self._vectors:
            torch.cat(self._params[: self._vectors], out=self._joined_theta)
            torch.cat(grads[: self._vectors], out=self._joined_grad)
        if self._vectors < len(self._params):
            torch._foreach_copy_(self._thetas[self._vectors :], self._params[self._vectors :])
            torch._foreach_copy_(self._grads[self._vectors :], grads[self._vectors :])

    def scatter(self) -> None:
        torch._foreach_copy_(self._params, self._thetas)


def _cut(row: torch.Tensor, params: list, sizes: list[int]) -> list[torch.Tensor]:
    """The part of a row that belongs to each parameter, in its shape."""
    parts = row[: sum(sizes)].split(sizes)
    return [part.view(parameter.shape) for part, parameter in zip(parts, params, strict=True)]


def here(tensor: torch.Tensor) -> torch.Tensor:
    """The numbers that this process has: its part of a sharded tensor, in the same memory, and else all."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def everywhere(part: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The tensor of which this process has that part, cut up as `like` is; `here` undoes it."""
    if not isinstance(like, DTensor):
        return part
    where = {"shape": like.shape, "stride": like.stride(), "run_check": False}
    return DTensor.from_local(part, like.device_mesh, like.placements, **where)


def _refuse_sparse(grads: list) -> None:
    if any(grad.layout != torch.strided for grad in grads):
        raise RuntimeError(
            "A sparse gradient has no rule here, because what a rule remembers fades everywhere at every step: make the "
            "layer's gradient dense (torch.nn.Embedding(…, sparse=False))."
        )


def _put(held: torch.Tensor, value) -> None:
    """Write a number, or a tensor of one number, into a held tensor. A number on the host never waits for the device."""
    if torch.is_tensor(value) and value.device == held.device:
        held.copy_(value.detach().reshape(()))
    else:
        held.fill_(float(value))


# ---------------------------------------------------------------- the kernel


def update_in_place(rule: Rule, theta, grad, state, scalars, lr, grad_scale=None, found_inf=None) -> None:
    """`rule.update`, written over θ and the state; all of them rows, or lists of tensors of the same shapes.

    With `grad_scale` the gradient is divided by it first, and where `found_inf` is not 0 nothing moves
    (`torch.amp.GradScaler`).
    """
    if isinstance(theta, list):
        old, new = [theta, *state], rule.update(theta, _unscaled(grad, grad_scale), state, scalars, lr)
        pairs = [pair for a, b in zip(old, (new[0], *new[1]), strict=True) for pair in zip(a, b, strict=True)]
    else:
        moved, kept = rule.update(theta, _unscaled(grad, grad_scale), state, scalars, lr)
        pairs = list(zip((theta, *state), (moved, *kept), strict=True))
    for before, after in pairs:
        before.copy_(after if found_inf is None else torch.where(found_inf > 0, before, after))


def _unscaled(grad, grad_scale):
    if grad_scale is None:
        return grad
    return [part / grad_scale for part in grad] if isinstance(grad, list) else grad / grad_scale


def count_on_device(rule: Rule, step: torch.Tensor, held: list, found_inf: torch.Tensor | None = None) -> None:
    """The scalars of a step out of a count that lives on a GPU, into `held`; then one step more, unless `found_inf`.

    The host never learns the count, so it does not wait, and a CUDA graph counts on when it is replayed. Bias
    corrections are computed in double precision, where the device has it; momentum's gain, which torch makes out of
    a truth value, in single precision.
    """
    number = step.to(held[0].dtype) if held else step
    for place, value in zip(held, rule.scalars(number), strict=True):
        place.copy_(value)
    step.add_(1 if found_inf is None else (found_inf == 0).to(step.dtype))


@cache
def looks_at(rule: Rule) -> str:
    """What decides where a number moves: that "number" alone, the "matrix" it stands in, or "all" parameters.

    Found by trying: two steps with two numbers in one tensor, and with each alone, with gradients so large that any
    clipping acts, and a turn of the first that clipping together all but hides. A rule that refuses vectors is tried on
    two matrices.

    >>> from gdlab.rules import adamw, chain, clip_global_norm, muon
    >>> looks_at(adamw()), looks_at(muon()), looks_at(chain(clip_global_norm(1.0), adamw()))
    ('number', 'matrix', 'all')
    """
    theta = torch.tensor([1.0, -2.0], dtype=torch.float64)
    grads = torch.tensor([[3e150, -4e149], [-1e140, 2e150]], dtype=torch.float64)
    try:
        together = _trial(rule, theta, grads)
    except ValueError:
        turned = torch.tensor([[1.0, 2.0], [-0.5, 3.0]], dtype=torch.float64)
        matrices, slopes = [theta[0] * turned, theta[1] * turned.T], [[a * turned, b * turned.T] for a, b in grads]
        alone = [_trial(rule, [matrices[k]], [[pair[k]] for pair in slopes]) for k in range(2)]
        return "matrix" if _equal(_trial(rule, matrices, slopes), torch.cat(alone, dim=1)) else "all"
    alone = [_trial(rule, theta[k : k + 1], grads[:, k : k + 1]) for k in range(2)]
    return "number" if _equal(together, torch.cat(alone, dim=1)) else "all"


def _trial(rule: Rule, theta, grads) -> torch.Tensor:
    """θ and the state after a step with each gradient, every part in a row of its own."""
    state = rule.init(theta)
    for step, grad in enumerate(grads):
        theta, state = rule.step(theta, grad, state, step, 0.1)
    return torch.stack([torch.cat([leaf.reshape(-1) for leaf in leaves(part)]) for part in (theta, *state)])


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-9, atol=0.0)


def _bound(rule: Rule) -> Callable[..., None]:
    return lambda *row_and_scalars: update_in_place(rule, *row_and_scalars)


LONG_ROW, WIDE, TALL = (2 * SMALL,), (192, 320), (320, 192)
"""Examples of what a kernel is compiled for. The row is long enough to be shared between processor cores."""


@cache
def compiled_update(
    rule: Rule, dtype: torch.dtype, device: torch.device, scaled: bool, example: tuple[int, ...]
) -> Callable[..., None]:
    """`update_in_place` of a rule as one kernel, or uncompiled, with a line that says why.

    One kernel is compiled for each rule, dtype and device, and serves rows of any length. A rule for matrices has one
    for those of at least as many columns as rows, and one for the others: `example` is a shape of its kind.
    What `torch.compile` would check before each call (dtypes, devices, one shape) is settled here once and for all:
    the kernel is called without its guards, which take four times as long as everything else before a launch.
    """

    def run(*arguments):
        update_in_place(rule, *arguments)

    # Compiled code is kept with the function's code, and only so many versions of it: each kernel gets its own.
    own = FunctionType(run.__code__.replace(), run.__globals__, run.__name__, run.__defaults__, run.__closure__)
    number = widest_float(device)
    theta, grad = (torch.zeros(example, dtype=dtype, device=device) for _ in range(2))
    state = rule.init(theta)
    for part in (theta, grad, *state):
        torch._dynamo.mark_dynamic(part, list(range(len(example))))  # lengths are no constants of the kernel
    scalars, more = (
        [torch.ones((), dtype=number, device=device) for _ in range(count)]
        for count in (len(rule.scalar_names), 3 if scaled else 1)
    )
    found = []

    def keep_kernel(graph, inputs):
        kernel = torch._dynamo.lookup_backend("inductor")(graph, inputs)

        def first_call(*arguments):
            found.append((kernel, arguments))
            return kernel(*arguments)

        return first_call

    try:
        with warnings.catch_warnings():  # parts of torch that the compiler loads are deprecated, which no user can mend
            warnings.simplefilter("ignore", DeprecationWarning)
            with torch._dynamo.config.patch(**CONSTANTS):
                torch.compile(own, fullgraph=True, backend=keep_kernel)(theta, grad, state, scalars, *more)
    except torch._dynamo.exc.TorchDynamoException as problem:
        reason = str(problem.__cause__ or problem).strip().partition("\n")[0]
        warnings.warn(f"gdlab.torch runs {rule.name} uncompiled, several times slower: {reason}", stacklevel=2)
        return _bound(rule)
    (kernel, arguments), ours = found[0], [theta, grad, *state, *scalars, *more, *example]
    order = [_place(argument, ours) for argument in arguments]

    def call(theta, grad, state, scalars, *more):
        given = [theta, grad, *state, *scalars, *more, *theta.shape]
        kernel(*[given[place] for place in order])

    return call


CONSTANTS = {"specialize_float": True, "automatic_dynamic_shapes": False}
"""A rule's own numbers are constants of its kernel: the compiler would turn those that differ from those of the rule
that it compiled before into arguments."""


def _place(argument, ours: list) -> int:
    """Where the compiler's argument stands among ours: a tensor, or one of the lengths, which are all different."""
    if isinstance(argument, int):
        return next(place for place, one in enumerate(ours) if isinstance(one, int) and one == argument)
    return next(place for place, one in enumerate(ours) if one is argument)
