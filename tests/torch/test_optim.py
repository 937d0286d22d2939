"""Every rule as a torch optimizer walks as torch.optim does, whatever happens on the way, compiled and not."""

import copy
import io
import math
import os
import pickle
import subprocess
import sys

import pytest
import torch
import torch._dynamo

from gdlab import rules
from gdlab.torch.optim import SMALL, RuleOptimizer, count_on_device, looks_at, update_in_place


@pytest.fixture(autouse=True)
def one_thread():
    """Tensors this small gain nothing from a second thread, and waiting for it costs a busy machine seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


TORCHS = {
    "gradient_descent": (rules.gradient_descent(), torch.optim.SGD, {}),
    "momentum": (rules.momentum(0.9, 0.3), torch.optim.SGD, {"momentum": 0.9, "dampening": 0.3}),
    "nesterov": (rules.nesterov(0.8), torch.optim.SGD, {"momentum": 0.8, "nesterov": True}),
    "adagrad": (rules.adagrad(initial=0.1), torch.optim.Adagrad, {"initial_accumulator_value": 0.1}),
    "rmsprop": (rules.rmsprop(0.9, 1e-6), torch.optim.RMSprop, {"alpha": 0.9, "eps": 1e-6}),
    "adam": (rules.adam(), torch.optim.Adam, {}),
    "adam_l2": (rules.adam_l2(weight_decay=0.1), torch.optim.Adam, {"weight_decay": 0.1}),
    "adamw": (rules.adamw(weight_decay=0.1), torch.optim.AdamW, {"weight_decay": 0.1}),
}
OURS_ALONE = {
    "ema": rules.momentum_ema(),
    "lion": rules.lion(),
    "schedule_free_sgd": rules.schedule_free_sgd(warmup_steps=10),
    "schedule_free_adamw": rules.schedule_free_adamw(warmup_steps=10, weight_decay=0.1),
}
ALL = {name: rule for name, (rule, _, _) in TORCHS.items()} | OURS_ALONE
MUON = rules.muon(weight_decay=0.2)
SHAPES = {"matrix": (4, 3), "number": (), "vector": (5,), "turned": (3, 2), "empty": (0,), "late": (2, 2)}
MATRICES = SHAPES | {"number": (1, 1), "vector": (3, 5), "empty": (0, 2)}


def parameters(dtype=torch.float64, shapes=SHAPES, device="cpu"):
    """A matrix, a number, a vector, a tensor whose numbers do not lie in order, and one that has none."""
    rng = torch.Generator().manual_seed(5)
    values = {name: torch.randn(shape, generator=rng, dtype=dtype) for name, shape in shapes.items()}
    values["turned"] = values["turned"].t()
    return {name: torch.nn.Parameter(value.to(device)) for name, value in values.items()}


def gradients(params, step):
    """The gradients of a step: of unequal size, and of a parameter's kind."""
    rng = torch.Generator().manual_seed(step)
    sizes = {"matrix": 3.0, "number": 40.0, "vector": 1e-2}
    return {
        name: sizes.get(name, 1.0) * (0.2 + torch.randn(p.shape, generator=rng, dtype=torch.float64)).to(p)
        for name, p in params.items()
    }


def walk(make, dtype, device, shapes=SHAPES, steps=1000):
    """What happens to an optimizer in a long run, all of it, at the same steps for every optimizer.

    Two groups, a rate that changes at every step, a frozen parameter that thaws, one that is added late, steps
    without a gradient, and a new optimizer that takes over a saved state.
    """
    params = parameters(dtype, shapes, device)
    first, second, late = ["matrix", "turned", "empty"], ["number", "vector"], ["late"]

    def groups(*names):
        rates = zip(names, (0.01, 0.003, 0.02), strict=False)
        return [{"params": [params[name] for name in part], "lr": lr} for part, lr in rates]

    optimizer = make(groups(first, second))
    params["vector"].requires_grad_(False)
    for step in range(steps):
        if step == 30:
            params["vector"].requires_grad_(True)
        if step == 300:
            optimizer.add_param_group(groups([], [], late)[2])
        if step == 500:
            saved = io.BytesIO()
            torch.save(optimizer.state_dict(), saved)
            optimizer = make(groups(first, second, late))
            optimizer.load_state_dict(torch.load(io.BytesIO(saved.getvalue()), weights_only=True))
        for name, grad in gradients(params, step).items():
            skipped = (name == "matrix" and step % 7 == 3) or (name == "number" and step in (0, 600))
            params[name].grad = grad if params[name].requires_grad and not skipped else None
        for group, lr in zip(optimizer.param_groups, (0.01, 0.003, 0.02), strict=False):
            group["lr"] = lr * (1 + 0.5 * math.cos(step))
        optimizer.step()
        optimizer.zero_grad(set_to_none=step % 2 == 0)
    return torch.cat([p.detach().reshape(-1) for p in params.values()])


def distance(ours, theirs):
    """‖Δ‖/‖θ‖."""
    return (torch.linalg.norm(ours - theirs) / torch.linalg.norm(theirs)).item()


def our_walk(rule, dtype, device, compiled, shapes=SHAPES):
    return walk(lambda groups: RuleOptimizer(groups, rule, 0.1, compiled=compiled), dtype, device, shapes)


def torchs_walk(name, dtype, device):
    _, optimizer, settings = TORCHS[name]
    return walk(lambda groups: optimizer(groups, **settings), dtype, device)


SINGLE_AND_DOUBLE = pytest.mark.parametrize(
    ("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 2e-6)], ids=["double", "single"]
)


@SINGLE_AND_DOUBLE
@pytest.mark.parametrize("name", TORCHS)
def test_a_thousand_steps_of_all_that_can_happen_equal_torch_optim(name, dtype, bound, device):
    assert distance(our_walk(ALL[name], dtype, device, False), torchs_walk(name, dtype, device)) <= bound


@SINGLE_AND_DOUBLE
@pytest.mark.parametrize("name", ["momentum", "adamw"])
def test_compiled_a_thousand_steps_equal_torch_optim(name, dtype, bound, device):
    assert distance(our_walk(ALL[name], dtype, device, True), torchs_walk(name, dtype, device)) <= bound


@pytest.mark.parametrize(
    ("dtype", "bound", "compiled"),
    [(torch.float64, 1e-12, False), (torch.float32, 2e-6, False), (torch.float64, 1e-12, True)],
    ids=["double", "single", "compiled"],
)
def test_a_thousand_steps_of_muon_equal_torch_optim_when_it_does_not_round(dtype, bound, compiled, device, monkeypatch):
    ours = our_walk(MUON, dtype, device, compiled, MATRICES)
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    theirs = walk(lambda groups: torch.optim.Muon(groups, weight_decay=0.2), dtype, device, MATRICES)
    assert distance(ours, theirs) <= bound


def test_the_rules_that_torch_does_not_have_walk_as_the_pure_ones_do():
    for name in OURS_ALONE:
        params = parameters()
        theta = {key: p.detach().clone() for key, p in params.items()}
        optimizer, state = RuleOptimizer(params.values(), ALL[name], 0.01, compiled=False), ALL[name].init(theta)
        for step in range(50):
            grads = gradients(params, step)
            for key, p in params.items():
                p.grad = grads[key]
            optimizer.step()
            theta, state = ALL[name].step(theta, grads, state, step, 0.01)
        assert all(torch.allclose(params[key], theta[key], rtol=1e-14, atol=0) for key in theta)


# ------------------------------------------------------------------- large tensors and packs


def rows(sizes, dtype=torch.float32, device="cpu"):
    rng = torch.Generator().manual_seed(1)
    params = [torch.nn.Parameter(torch.randn(size, generator=rng, dtype=dtype).to(device)) for size in sizes]
    for p in params:
        p.grad = torch.randn(p.shape, generator=rng, dtype=dtype).to(device)
    return params


@pytest.mark.parametrize("sizes", [[(SMALL,), (7,), (300, 250)], [(), (3, 3), (SMALL - 1,)], [()]], ids=str)
def test_compiled_equals_uncompiled_for_large_small_and_single_numbers(sizes, device):
    ours, plain = rows(sizes, device=device), rows(sizes, device=device)
    compiled, eager = (RuleOptimizer(p, ALL["adamw"], 0.01, compiled=c) for p, c in ((ours, True), (plain, False)))
    for _ in range(3):
        compiled.step(), eager.step()
    for a, b in zip(ours, plain, strict=True):
        assert torch.allclose(a, b, rtol=1e-6, atol=1e-6)
        assert torch.allclose(compiled.state[a]["v"], eager.state[b]["v"], rtol=1e-5, atol=0)


def test_a_large_tensor_whose_memory_is_exchanged_is_followed():
    (p,) = rows([(SMALL,)])
    optimizer = RuleOptimizer([p], rules.gradient_descent(), 0.5, compiled=False)
    optimizer.step()
    p.data = torch.zeros(SMALL)
    optimizer.step()
    assert torch.equal(p, -0.5 * p.grad)


def test_a_large_tensor_whose_numbers_do_not_lie_in_order_moves_alike():
    (turned,), (straight,) = rows([(260, 256)]), rows([(260, 256)])
    turned = torch.nn.Parameter(turned.detach().t())
    turned.grad = straight.grad.t()
    for p in (turned, straight):
        optimizer = RuleOptimizer([p], ALL["adamw"], 0.01, compiled=False)
        optimizer.step(), optimizer.step()
    assert turned.stride() == (1, 256) and torch.equal(turned.t(), straight)


def test_gradients_may_be_views_into_a_bucket_and_need_not_lie_in_order():
    sizes = [(260, 256), (3, 4), (5,)]
    ours, theirs = rows(sizes), rows(sizes)
    bucket = torch.cat([torch.zeros(1), *[p.grad.reshape(-1) for p in ours]])
    places = bucket[1:].split([p.numel() for p in ours])
    for p, place in zip(ours, places, strict=True):
        p.grad = place.view(p.shape)
    ours[1].grad = ours[1].grad.t().contiguous().t()
    for params in (ours, theirs):
        optimizer = RuleOptimizer(params, ALL["adamw"], 0.01, compiled=False)
        optimizer.step(), optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_half_precision_parameters_keep_their_kind():
    params = rows([(SMALL,), (4,)], torch.bfloat16)
    optimizer = RuleOptimizer(params, ALL["momentum"], 0.01, compiled=False)
    before = params[1].detach().clone()
    optimizer.step()
    assert all(optimizer.state[p]["velocity"].dtype == p.dtype == torch.bfloat16 for p in params)
    assert not torch.equal(params[1], before)


# ------------------------------------------------------------------- compiling


@pytest.mark.parametrize("decays", [(0.0, 0.01, 0.1, 0.3), (0.3, 0.1, 0.01)], ids=["growing", "falling"])
def test_rules_that_differ_in_a_number_each_have_their_own_kernel(decays):
    """The compiler remembers that a number of the same line has changed."""
    for decay in decays:
        walked = []
        for compiled in (True, False):
            param = torch.nn.Parameter(torch.ones(300))
            optimizer = RuleOptimizer([param], rules.adamw(weight_decay=decay), 0.1, compiled=compiled)
            param.grad = torch.full((300,), 0.5)
            optimizer.step()
            walked.append(param.detach())
        assert torch.allclose(*walked, rtol=1e-6, atol=0)


def test_a_new_rate_at_every_step_and_new_shapes_never_compile_again(device):
    params = rows([(SMALL,), (6,)], device=device)
    optimizer = RuleOptimizer(params, ALL["adamw"], 0.01)
    optimizer.step()
    compiled = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert compiled >= 1
    for step in range(5):
        optimizer.param_groups[0]["lr"] = 0.01 / (step + 1)
        if step == 2:
            more = rows([(SMALL + 30,), (9,)], device=device)
            optimizer.add_param_group({"params": more, "lr": torch.tensor(0.3)})
        optimizer.step()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == compiled


def test_a_compiled_optimizer_survives_a_reset_of_the_compiler():
    params, others = rows([(SMALL + 8,), (6,)]), rows([(SMALL + 8,), (6,)])
    ours, plain = RuleOptimizer(params, ALL["adamw"], 0.01), RuleOptimizer(others, ALL["adamw"], 0.01, compiled=False)
    ours.step(), plain.step()
    torch.compiler.reset()
    ours.step(), plain.step()
    assert all(torch.allclose(a, b, rtol=1e-6, atol=1e-6) for a, b in zip(params, others, strict=True))


def test_without_a_compiler_the_same_rule_runs_and_one_line_says_so(tmp_path):
    code = (
        "import torch\nfrom gdlab.rules import momentum\nfrom gdlab.torch.optim import RuleOptimizer\n"
        "p = torch.nn.Parameter(torch.ones(3)); p.grad = torch.ones(3)\n"
        "optimizer = RuleOptimizer([p], momentum(), 0.1)\noptimizer.step(); optimizer.step()\n"
        "print([round(x, 6) for x in p.tolist()])"
    )
    nothing = {"PATH": str(tmp_path), "CXX": str(tmp_path / "none"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | nothing, capture_output=True, text=True)
    assert done.stdout == "[0.71, 0.71, 0.71]\n"
    assert done.stderr.count("gdlab.torch runs momentum uncompiled") == 1 and "compiler" in done.stderr


# ------------------------------------------------------------------- as a torch.optim.Optimizer


@pytest.mark.parametrize("lr", [0.1, torch.tensor(0.1)], ids=["number", "tensor"])
@pytest.mark.parametrize(
    "schedule",
    [
        lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: 0.9**step),
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=10),
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.2, total_steps=20, cycle_momentum=False),
    ],
    ids=["lambda", "cosine", "one_cycle"],
)
def test_torchs_schedulers_steer_it(schedule, lr):
    ours, theirs = rows([(4, 3)], torch.float64), rows([(4, 3)], torch.float64)
    pair = (
        RuleOptimizer(ours, ALL["adamw"], lr if isinstance(lr, float) else lr.clone(), compiled=False),
        torch.optim.AdamW(theirs, 0.1, weight_decay=0.1),
    )
    schedules = [schedule(optimizer) for optimizer in pair]
    for _ in range(15):
        for optimizer, scheduler in zip(pair, schedules, strict=True):
            optimizer.step()
            scheduler.step()
    assert distance(ours[0], theirs[0]) <= (1e-12 if isinstance(lr, float) else 1e-6)  # lr is a float32 there


def test_a_closure_is_evaluated_with_gradients_and_its_loss_returned():
    theta = torch.nn.Parameter(torch.tensor(5.0))
    optimizer = RuleOptimizer([theta], rules.gradient_descent(), 0.25, compiled=False)

    def closure():
        optimizer.zero_grad()
        loss = (theta - 3) ** 2
        loss.backward()
        return loss

    assert [optimizer.step(closure).item() for _ in range(2)] == [4.0, 1.0]
    assert theta.item() == 3.5


def test_a_tied_weight_moves_once():
    model = torch.nn.ModuleDict({"embed": torch.nn.Embedding(5, 3), "head": torch.nn.Linear(3, 5, bias=False)})
    model["head"].weight = model["embed"].weight
    before = model["embed"].weight.detach().clone()
    optimizer = RuleOptimizer(model.parameters(), rules.gradient_descent(), 0.1, compiled=False)
    model["head"](model["embed"](torch.tensor([1, 2]))).square().sum().backward()
    optimizer.step()
    assert model["head"].weight is model["embed"].weight
    assert torch.allclose(model["embed"].weight, before - 0.1 * model["embed"].weight.grad)
    model.zero_grad()
    optimizer.step()
    assert optimizer.state[model["embed"].weight]["step"] == 1


def test_accumulated_gradients_are_one_step():
    model, twin = (torch.nn.Linear(3, 1) for _ in range(2))
    twin.load_state_dict(model.state_dict())
    x = torch.randn(8, 3)
    for net, parts in ((model, x.split(2)), (twin, [x])):
        optimizer = RuleOptimizer(net.parameters(), ALL["adamw"], 0.1, compiled=False)
        for part in parts:
            (net(part).square().mean() / len(parts)).backward()
        optimizer.step()
    assert torch.allclose(model.weight, twin.weight, rtol=1e-5)


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A group of one process, which talks to nobody."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("as_views", [True, False], ids=["bucket_views", "copies"])
def test_a_model_in_distributed_data_parallel_walks_as_the_bare_one(alone, as_views):
    bare, inner = (torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2)) for _ in range(2))
    inner.load_state_dict(bare.state_dict())
    parallel = torch.nn.parallel.DistributedDataParallel(inner, gradient_as_bucket_view=as_views)
    for model in (bare, parallel):
        optimizer = RuleOptimizer(model.parameters(), ALL["adamw"], 0.1, compiled=False)
        for step in range(4):
            model(torch.full((5, 4), 1.0 + step)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=step % 2 == 0)
    assert all(torch.equal(a, b) for a, b in zip(bare.parameters(), inner.parameters(), strict=True))


@pytest.mark.parametrize("how", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))], ids=["deepcopy", "pickle"])
def test_a_copy_goes_on_where_the_first_stands(how):
    params = rows([(SMALL,), (4,)])
    optimizer = RuleOptimizer(params, ALL["adam"], 0.01, compiled=False)
    optimizer.step()
    twin = how(optimizer)
    copies = twin.param_groups[0]["params"]
    for p, c in zip(params, copies, strict=True):
        c.grad = p.grad.clone()
    optimizer.step(), twin.step()
    assert all(torch.equal(p, c) and p is not c for p, c in zip(params, copies, strict=True))


def test_saved_in_one_process_and_loaded_bit_for_bit():
    params, others = rows([(SMALL,), (4,), (2, 2)]), rows([(SMALL,), (4,), (2, 2)])
    first, second = (RuleOptimizer(p, ALL["adamw"], 0.01, compiled=False) for p in (params, others))
    first.step()
    for a, b in zip(params, others, strict=True):
        b.data.copy_(a)
    second.load_state_dict(first.state_dict())
    first.step(), second.step()
    assert all(torch.equal(a, b) for a, b in zip(params, others, strict=True))
    assert second.state_dict()["param_groups"][0]["rule"] == "adamw"


def test_each_group_may_have_a_rule_of_its_own():
    matrix, vector = rows([(3, 3), (3,)])
    decayed = matrix.detach() * (1 - 0.1 * 0.5)
    matrix.grad.zero_()
    moved = vector.detach() - 0.2 * vector.grad
    groups = [
        {"params": [matrix], "rule": rules.adamw(weight_decay=0.5), "lr": 0.1},
        {"params": [vector], "rule": rules.gradient_descent()},
    ]
    RuleOptimizer(groups, rules.lion(), lr=0.2, compiled=False).step()
    assert torch.allclose(matrix, decayed) and torch.allclose(vector, moved)


def test_muon_turns_the_matrices_and_another_rule_moves_the_vectors():
    params, alone = rows([(4, 3), (3,), (3, 5)]), rows([(4, 3), (3,), (3, 5)])
    groups = [{"params": params[::2]}, {"params": params[1:2], "rule": ALL["adamw"], "lr": 0.3}]
    together = RuleOptimizer(groups, MUON, 0.02, compiled=False)
    pair = (
        RuleOptimizer(alone[::2], MUON, 0.02, compiled=False),
        RuleOptimizer(alone[1:2], ALL["adamw"], 0.3, compiled=False),
    )
    for _ in range(3):
        for optimizer in (together, *pair):
            optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(params, alone, strict=True))


# ------------------------------------------------------------------- mixed precision, and counting on a device


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "uncompiled"])
def test_grad_scaler_leaves_unscaling_and_the_skipped_step_to_it(compiled, device):
    ours, plain = (rows([(SMALL,), (4,)], device=device) for _ in range(2))
    grads = [p.grad.clone() for p in ours]
    optimizer = RuleOptimizer(ours, ALL["adamw"], 0.01, compiled=compiled)
    reference = RuleOptimizer(plain, ALL["adamw"], 0.01, compiled=False)
    scaler = torch.amp.GradScaler(device, init_scale=1024.0)
    for step in range(4):
        scaler.scale(torch.zeros((), device=device))
        for p, grad in zip(ours, grads, strict=True):
            p.grad = grad * scaler.get_scale()
        if step == 1:
            ours[1].grad[2] = math.inf
        scaler.step(optimizer)
        scaler.update()
        if step != 1:
            reference.step()
    assert optimizer.state[ours[0]]["step"] == 3 and scaler.get_scale() == 512.0
    assert all(torch.allclose(a, b, rtol=1e-6, atol=1e-6) for a, b in zip(ours, plain, strict=True))


@pytest.mark.parametrize("name", ALL)
def test_the_scalars_counted_on_a_device_are_those_of_the_step(name):
    rule, step = ALL[name], torch.tensor(0.0)
    held = [torch.zeros((), dtype=torch.float64) for _ in rule.scalar_names]
    for number in range(3):
        count_on_device(rule, step, held)
        precision = 1e-7 if rule.scalar_names == ("gain",) else 1e-14
        assert [h.item() for h in held] == pytest.approx(list(rule.scalars(number)), rel=precision, abs=0)
        assert step.item() == number + 1
    count_on_device(rule, step, held, found_inf=torch.tensor(1.0))
    assert step.item() == 3
    count_on_device(rule, step, held, found_inf=torch.tensor(0.0))
    assert step.item() == 4


def test_where_infinities_were_found_nothing_moves():
    theta, grad, m = torch.ones(3), torch.full((3,), math.inf), torch.full((3,), 0.5)
    one = torch.tensor(1.0)
    update_in_place(rules.lion(), theta, grad, (m,), [], one, one, one)
    assert theta.tolist() == [1.0] * 3 and m.tolist() == [0.5] * 3
    update_in_place(rules.gradient_descent(), theta, torch.full((3,), 8.0), (), [], one, 16 * one, 0 * one)
    assert theta.tolist() == [0.5] * 3


def test_a_captured_graph_is_let_in():
    optimizer = RuleOptimizer(rows([(3,)]), rules.gradient_descent(), 0.1)
    assert all(group["capturable"] for group in optimizer.param_groups)


# ------------------------------------------------------------------- rules that look at all numbers at once


def test_what_a_rule_looks_at_is_found_out():
    assert {looks_at(rule) for rule in (*ALL.values(), rules.clip_value(1.0))} == {"number"}
    assert {looks_at(rule) for rule in (MUON, rules.chain(rules.clip_value(1.0), MUON))} == {"matrix"}
    clip = rules.clip_global_norm(1e6)
    assert {looks_at(rules.chain(clip, rule)) for rule in (*ALL.values(), MUON)} == {"all"}


def test_clipping_inside_the_rule_equals_torchs_clipping_before_the_step():
    ours, theirs = rows([(SMALL,), (4, 3), ()], torch.float64), rows([(SMALL,), (4, 3), ()], torch.float64)
    for params in (ours, theirs):
        params.append(torch.nn.Parameter(params[1].detach().clone().t()))
        params[-1].grad = params[1].grad.t().clone()
    rule = rules.chain(rules.clip_global_norm(0.5), rules.adamw(eps=0.1))
    clipped = RuleOptimizer(ours, rule, 0.01)
    plain = RuleOptimizer(theirs, rules.adamw(eps=0.1), 0.01, compiled=False)
    for _ in range(3):
        clipped.step()
        torch.nn.utils.clip_grad_norm_(theirs, 0.5)
        plain.step()
    assert all(torch.allclose(a, b, rtol=1e-6, atol=1e-9) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("apart", ["group", "gradient"])
def test_such_a_rule_refuses_parameters_that_are_not_updated_together(apart):
    first, second = rows([(3,), (4,)])
    groups = [{"params": [first]}, {"params": [second]}] if apart == "group" else [first, second]
    optimizer = RuleOptimizer(groups, rules.clip_global_norm(1.0), 0.1)
    if apart == "gradient":
        optimizer.step()
        second.grad = None
    before = first.detach().clone()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="clip_global_norm looks at all gradients together"):
            optimizer.step()
    assert torch.equal(first, before)


# ------------------------------------------------------------------- errors


def test_a_state_of_another_rule_is_refused():
    params = rows([(3,)])
    saved = RuleOptimizer(params, rules.momentum(), 0.1).state_dict()
    with pytest.raises(ValueError, match="saved by the rule 'momentum', but here its parameters follow 'adamw'"):
        RuleOptimizer(params, rules.adamw(), 0.1).load_state_dict(saved)


@pytest.mark.parametrize("lr", [-0.1, math.nan])
def test_a_rate_below_zero_is_refused(lr):
    with pytest.raises(ValueError, match="cannot be below 0, but is"):
        RuleOptimizer(rows([(3,)]), rules.momentum(), lr)


def test_complex_parameters_are_refused():
    with pytest.raises(ValueError, match="real and imaginary parts"):
        RuleOptimizer([torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))], rules.momentum(), 0.1)


@pytest.mark.parametrize("shape", [(3,), (), (2, 2, 2)], ids=str)
def test_what_is_no_matrix_is_refused_by_muon_and_told_where_to_go(shape):
    optimizer = RuleOptimizer(rows([(3, 2)]), MUON, 0.1)
    with pytest.raises(ValueError, match="muon is a rule for matrices.*a group with another rule"):
        optimizer.add_param_group({"params": rows([shape])})
    assert len(optimizer.param_groups) == 1


def test_sparse_gradients_are_refused():
    layer = torch.nn.Embedding(5, 3, sparse=True)
    layer(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="make the layer's gradient dense"):
        RuleOptimizer(layer.parameters(), rules.momentum(), 0.1, compiled=False).step()
