"""Chapter 23: what students get wrong in interlocking, and other right answers."""

from tests.course.mutants import Alternative, Mutant, changed, slip

INDEX = """def target(k, n, K):
    return min(k + n - 1, K - 1)


def takers(j, n, K):
    return [k for k in range(K) if target(k, n, K) == j]
"""

CHAIN = """def chain_gradients(w, a, x, y, n):
    K, scale = len(w), [*a, 1.0]
    h = [x]
    for weight in w:
        h.append(weight * h[-1])
    errors = [scale[k] * h[k + 1] - y for k in range(K)]
    for_w = []
    for k in range(K):
        j = target(k, n, K)
        for_w.append(errors[j] * scale[j] * math.prod(w[k + 1 : j + 1]) * h[k])
    return for_w, [errors[k] * h[k + 1] for k in range(K - 1)]
"""

STEP = """def interlocked(blocks, heads, x, y, n):
    losses, h = [], x
    for block, head in zip(blocks, heads, strict=True):
        h = block(h)
        losses.append(cross_entropy(head(h), y))

    def pull(loss, part):
        own = list(part.parameters())
        return list(torch.autograd.grad(loss, own, retain_graph=True)) if own else []

    K = len(blocks)
    for_blocks = [pull(losses[target(k, n, K)], blocks[k]) for k in range(K)]
    for_heads = [pull(losses[k], heads[k]) for k in range(K)]
    return for_blocks, for_heads
"""

BACKWARDS = """def interlocked(blocks, heads, x, y, n):
    parts, K = [*blocks, *heads], len(blocks)
    {save}
    h, losses = x, []
    for block, head in zip(blocks, heads, strict=True):
        h = block(h)
        losses.append(cross_entropy(head(h), y))
    for part in parts:
        part.zero_grad()
    {body}
    found = [[p.grad.clone() for p in part.parameters()] for part in parts]
    {restore}
    return found[:K], found[K:]
"""

CERTIFICATE = """def declared(n, K):
    j, i = torch.meshgrid(torch.arange(K), torch.arange(K), indexing="ij")
    takes = j == (i + n - 1).clamp(max=K - 1)
    return takes, (j - n < i) & (i <= j)


def measured(step, K):
    silent, found = step(torch.zeros(K)), torch.zeros(K, K, dtype=torch.bool)
    for j, weights in enumerate(torch.eye(K)):
        for i, gradient in enumerate(step(weights)):
            found[j, i] = not torch.equal(gradient, silent[i])
    return found
"""

ANGLE = """def alignment(ours, theirs):
    cosines = []
    for one, other in zip(ours, theirs, strict=True):
        lengths = math.sqrt(inner(one, one) * inner(other, other))
        cosines.append(inner(one, other) / lengths if lengths > 0 else math.nan)
    return torch.tensor(cosines)
"""

BILL = """def peak(n, graphs, heads):
    K, held, most = len(graphs), set(), 0
    for j in range(K):
        held.add(j)
        most = max(most, sum(graphs[k] for k in held) + heads[j])
        held -= set(takers(j, n, K))
    return most


def update_times(n, K, F, B):
    times = []
    for k in range(K):
        j = target(k, n, K)
        arrives = (j + 1) * F + (j - k) * B / 2
        passes = k > takers(j, n, K)[0]
        times.append(arrives + (B / 2 if passes else 0.0) + B / 2)
    return times
"""

STREAM = """def interlocking_step(blocks, heads, optimisers, x, y, n):
    K, graphs, losses, h = len(blocks), {}, [], x
    for j in range(K):
        optimisers[j].zero_grad()
        h_in = h.detach().requires_grad_()
        graphs[j] = h_in, blocks[j](h_in)
        h = graphs[j][1].detach()
        leaf = h.clone().requires_grad_()
        loss = cross_entropy(heads[j](leaf), y)
        losses.append(loss.item())
        loss.backward()
        credit, learners = leaf.grad, takers(j, n, K)
        for k in range(j, min(learners, default=K) - 1, -1):
            h_in, h_out = graphs[k]
            passed = None
            if k > learners[0]:
                (passed,) = torch.autograd.grad(h_out, h_in, credit, retain_graph=True)
            if k in learners:
                h_out.backward(credit)
                optimisers[k].step()
                del graphs[k]
            credit = passed
    return losses
"""

MUTANTS = [
    # 23.1 the index rule
    Mutant(
        "ex23-1",
        "the horizon read as a distance: k + n",
        changed(INDEX, ("k + n - 1", "k + n")),
    ),
    Mutant(
        "ex23-1",
        "no end of the chain: losses beyond the last one",
        changed(INDEX, ("min(k + n - 1, K - 1)", "k + n - 1")),
    ),
    Mutant(
        "ex23-1",
        "counts from 1 at the top: min with K",
        changed(INDEX, ("K - 1)", "K)")),
    ),
    Mutant(
        "ex23-1",
        "where the horizon ends outside the chain a module falls back on its own loss",
        changed(
            INDEX,
            ("return min(k + n - 1, K - 1)", "return k + n - 1 if k + n <= K else k"),
        ),
    ),
    Mutant(
        "ex23-1",
        "takers are all modules that the loss reaches",
        changed(
            INDEX,
            (
                "[k for k in range(K) if target(k, n, K) == j]",
                "list(range(max(0, j - n + 1), j + 1))",
            ),
        ),
    ),
    Mutant(
        "ex23-1",
        "every loss trains one module, the last one too",
        changed(
            INDEX,
            (
                "[k for k in range(K) if target(k, n, K) == j]",
                "[j - n + 1] if j >= n - 1 else []",
            ),
        ),
    ),
    Mutant(
        "ex23-1",
        "takers from the top down",
        changed(INDEX, ("for k in range(K) if", "for k in reversed(range(K)) if")),
    ),
    # 23.2 gradients by hand
    Mutant(
        "ex23-2",
        "the head's factor is forgotten on the way back",
        changed(CHAIN, ("errors[j] * scale[j] *", "errors[j] *")),
    ),
    Mutant(
        "ex23-2",
        "the module's own weight is in the product",
        changed(CHAIN, ("w[k + 1 : j + 1]", "w[k : j + 1]")),
    ),
    Mutant(
        "ex23-2",
        "the product ends one module too early",
        changed(CHAIN, ("w[k + 1 : j + 1]", "w[k + 1 : j]")),
    ),
    Mutant(
        "ex23-2",
        "divides states instead of multiplying weights: fails at a zero",
        changed(
            CHAIN,
            (
                "math.prod(w[k + 1 : j + 1])",
                "(h[j + 1] / h[k + 1] if h[k + 1] else 0.0)",
            ),
        ),
    ),
    Mutant(
        "ex23-2",
        "the output of the module instead of its input",
        changed(CHAIN, ("* h[k])", "* h[k + 1])")),
    ),
    Mutant(
        "ex23-2",
        "the sum of all losses within the horizon",
        changed(
            CHAIN,
            (
                "        for_w.append(errors[j] * scale[j] * math.prod(w[k + 1 : j + 1]) * h[k])",
                "        for_w.append(sum(errors[i] * scale[i] * math.prod(w[k + 1 : i + 1])\n"
                "                         for i in range(k, j + 1)) * h[k])",
            ),
        ),
    ),
    Mutant(
        "ex23-2",
        "heads take the loss that trains their module",
        changed(
            CHAIN,
            (
                "[errors[k] * h[k + 1] for k",
                "[errors[target(k, n, K)] * h[k + 1] for k",
            ),
        ),
    ),
    Mutant(
        "ex23-2",
        "the last module is given a head of the list",
        changed(CHAIN, ("[*a, 1.0]", "[*a, a[-1] if a else 1.0]")),
    ),
    Mutant(
        "ex23-2",
        "asks autograd, although plain Python was asked for",
        """def chain_gradients(w, a, x, y, n):
    K = len(w)
    weights = [torch.tensor(v, requires_grad=True) for v in w]
    heads = [torch.tensor(v, requires_grad=True) for v in a]
    losses, h = [], x
    for k in range(K):
        h = weights[k] * h
        losses.append(0.5 * ((heads[k] if k < K - 1 else 1.0) * h - y) ** 2)
    pull = lambda loss, p: torch.autograd.grad(loss, p, retain_graph=True)[0].item()
    for_w = [pull(losses[target(k, n, K)], weights[k]) for k in range(K)]
    return for_w, [pull(losses[k], heads[k]) for k in range(K - 1)]
""",
    ),
    # 23.3 one step in autograd
    Mutant(
        "ex23-3",
        "asks the data for a gradient and leaves them marked",
        changed(STEP, ("losses, h = [], x\n", "losses, h = [], x.requires_grad_()\n")),
    ),
    Mutant(
        "ex23-3",
        "credit is cut in two on its way: half of every gradient below the target",
        changed(
            STEP,
            (
                "        h = block(h)\n",
                "        h = block(0.5 * h + 0.5 * h.detach())\n",
            ),
        ),
    ),
    Mutant(
        "ex23-3",
        "each module takes the sum of all losses that reach it",
        changed(
            STEP,
            ("losses[target(k, n, K)]", "sum(losses[k : target(k, n, K) + 1])"),
        ),
    ),
    Mutant(
        "ex23-3",
        "one backward of the sum of all losses",
        changed(STEP, ("losses[target(k, n, K)]", "sum(losses)")),
    ),
    Mutant(
        "ex23-3",
        "every module takes the last loss: backpropagation",
        changed(STEP, ("losses[target(k, n, K)]", "losses[-1]")),
    ),
    Mutant(
        "ex23-3",
        "detach between modules: only losses of their own",
        changed(
            STEP,
            ("h = block(h)", "h = block(h.detach())"),
            ("losses[target(k, n, K)]", "losses[k]"),
        ),
    ),
    Mutant(
        "ex23-3",
        "a head counts its loss twice: for itself and for the module it trains",
        changed(
            STEP,
            (
                "pull(losses[k], heads[k])",
                "pull(2 * losses[k] if n > 1 else losses[k], heads[k])",
            ),
        ),
    ),
    Mutant(
        "ex23-3",
        "backward for each target piles up in everything it meets",
        BACKWARDS.format(
            save="kept = [p.grad for part in parts for p in part.parameters()]",
            body="for k in range(K):\n"
            "        losses[target(k, n, K)].backward(retain_graph=True)\n"
            "    for part in parts:\n"
            "        for p in part.parameters():\n"
            "            p.grad = torch.zeros_like(p) if p.grad is None else p.grad",
            restore="for p, g in zip([p for part in parts for p in part.parameters()], kept):\n"
            "        p.grad = g",
        ),
    ),
    Mutant(
        "ex23-3",
        "right gradients, but .grad of the network is wiped",
        changed(
            STEP,
            (
                "    return for_blocks",
                "    for part in (*blocks, *heads):\n        part.zero_grad()\n    return for_blocks",
            ),
        ),
    ),
    Mutant(
        "ex23-3",
        "losses are sums over the batch",
        changed(STEP, ("(head(h), y)", '(head(h), y, reduction="sum")')),
    ),
    # 23.4 who moves whom
    Mutant(
        "ex23-4",
        "rows and columns exchanged",
        changed(CERTIFICATE, ("found[j, i] =", "found[i, j] =")),
    ),
    Mutant(
        "ex23-4",
        "a gradient that is not zero is taken for the loss's doing",
        changed(
            CERTIFICATE,
            ("not torch.equal(gradient, silent[i])", "bool(gradient.any())"),
        ),
    ),
    Mutant(
        "ex23-4",
        "a tolerance that swallows faint leaks",
        changed(
            CERTIFICATE,
            ("not torch.equal(gradient", "not torch.allclose(gradient"),
        ),
    ),
    Mutant(
        "ex23-4",
        "turns a loss up instead of on: rescaled gradients hide it",
        changed(
            CERTIFICATE,
            (
                "silent, found = step(torch.zeros(K))",
                "silent, found = step(torch.ones(K))",
            ),
            ("step(weights)", "step(1 + weights)"),
        ),
    ),
    Mutant(
        "ex23-4",
        "the band is one too narrow",
        changed(CERTIFICATE, ("j - n < i", "j - n + 1 < i")),
    ),
    Mutant(
        "ex23-4",
        "a loss reaches all modules below it, whatever the horizon",
        changed(CERTIFICATE, ("(j - n < i) & (i <= j)", "i <= j")),
    ),
    Mutant(
        "ex23-4",
        "the last modules are trained by nobody",
        changed(CERTIFICATE, ("(i + n - 1).clamp(max=K - 1)", "(i + n - 1)")),
    ),
    Mutant(
        "ex23-4",
        "what is taken and what comes by are the same",
        changed(
            CERTIFICATE, ("return takes, (j - n < i) & (i <= j)", "return takes, takes")
        ),
    ),
    Mutant(
        "ex23-4",
        "a tolerance of rounding relative to the weight decay swallows faint leaks",
        changed(
            CERTIFICATE,
            (
                "not torch.equal(gradient, silent[i])",
                "bool((gradient - silent[i]).norm() > 1e-8 * (1 + silent[i].norm()))",
            ),
        ),
    ),
    # 23.5 the angle
    Mutant(
        "ex23-5",
        "a smallest length in the division: faint gradients look orthogonal",
        """def alignment(ours, theirs):
    out = []
    for one, other in zip(ours, theirs, strict=True):
        if not one or not other:
            out.append(math.nan)
            continue
        u, v = (torch.cat([t.flatten() for t in m]) for m in (one, other))
        cosine = nn.functional.cosine_similarity(u, v, dim=0).item()
        out.append(math.nan if u.norm() == 0 or v.norm() == 0 else cosine)
    return torch.tensor(out)
""",
    ),
    Mutant(
        "ex23-5",
        "what is shorter than rounding of one has no direction",
        changed(ANGLE, ("if lengths > 0", "if lengths > 1e-16")),
    ),
    Mutant(
        "ex23-5",
        "mean of the tensors' cosines",
        """def alignment(ours, theirs):
    cosines = []
    for one, other in zip(ours, theirs, strict=True):
        each = [inner([a], [b]) / math.sqrt(inner([a], [a]) * inner([b], [b]) or math.nan)
                for a, b in zip(one, other, strict=True)]
        cosines.append(sum(each) / len(each) if each else math.nan)
    return torch.tensor(cosines)
""",
    ),
    Mutant(
        "ex23-5",
        "one cosine for the whole network",
        """def alignment(ours, theirs):
    one, other = sum(ours, []), sum(theirs, [])
    lengths = math.sqrt(inner(one, one) * inner(other, other))
    return torch.full((len(ours),), inner(one, other) / lengths)
""",
    ),
    Mutant(
        "ex23-5",
        "divides by one length, squared",
        changed(
            ANGLE, ("inner(one, one) * inner(other, other)", "inner(other, other) ** 2")
        ),
    ),
    Mutant(
        "ex23-5",
        "zero instead of NaN where there is no direction",
        changed(ANGLE, ("math.nan", "0.0")),
    ),
    Mutant(
        "ex23-5",
        "the angle's sign is lost",
        changed(
            ANGLE, ("inner(one, other) / lengths", "abs(inner(one, other)) / lengths")
        ),
    ),
    Mutant(
        "ex23-5",
        "the root is missing",
        changed(
            ANGLE,
            (
                "math.sqrt(inner(one, one) * inner(other, other))",
                "inner(one, one) * inner(other, other)",
            ),
        ),
    ),
    # 23.6 the bill
    Mutant(
        "ex23-6",
        "graphs are never freed",
        changed(BILL, ("        held -= set(takers(j, n, K))\n", "")),
    ),
    Mutant(
        "ex23-6",
        "heads pile up like graphs",
        changed(BILL, ("+ heads[j])", "+ sum(heads[k] for k in held))")),
    ),
    Mutant(
        "ex23-6",
        "heads are forgotten",
        changed(BILL, (" + heads[j])", ")")),
    ),
    Mutant(
        "ex23-6",
        "n times the largest graph",
        changed(
            BILL, ("    return most\n", "    return n * max(graphs) + max(heads)\n")
        ),
    ),
    Mutant(
        "ex23-6",
        "freed before the loss has come back: one graph too few",
        changed(
            BILL,
            (
                "        held.add(j)\n        most = max(most, sum(graphs[k] for k in held) + heads[j])\n"
                "        held -= set(takers(j, n, K))\n",
                "        held.add(j)\n        held -= set(takers(j, n, K)) - {j}\n"
                "        most = max(most, sum(graphs[k] for k in held) + heads[j])\n"
                "        held -= set(takers(j, n, K))\n",
            ),
        ),
    ),
    Mutant(
        "ex23-6",
        "credit waits for whole backward passes on the way down",
        changed(BILL, ("(j - k) * B / 2", "(j - k) * B")),
    ),
    Mutant(
        "ex23-6",
        "a module takes first and lets the others wait",
        changed(BILL, ("(B / 2 if passes else 0.0)", "0.0")),
    ),
    Mutant(
        "ex23-6",
        "every module passes, also if nobody below waits",
        changed(BILL, ("passes = k > takers(j, n, K)[0]", "passes = n > 1")),
    ),
    Mutant(
        "ex23-6",
        "the loss is there before its own forward pass",
        changed(BILL, ("(j + 1) * F", "j * F")),
    ),
    Mutant(
        "ex23-6",
        "the module waits for its own forward pass only",
        changed(BILL, ("(j + 1) * F", "(k + 1) * F")),
    ),
    Mutant(
        "ex23-6",
        "the largest window of n graphs, with the largest head on top",
        changed(
            BILL,
            (
                "        most = max(most, sum(graphs[k] for k in held) + heads[j])\n",
                "        most = max(most, sum(graphs[k] for k in held) + max(heads))\n",
            ),
        ),
    ),
    # 23.7 one pass, n graphs
    Mutant(
        "ex23-7",
        "asks the data themselves for a gradient: x is changed",
        changed(
            STREAM,
            (
                "h_in = h.detach().requires_grad_()",
                "h_in = h.requires_grad_() if j == 0 else h.detach().requires_grad_()",
            ),
        ),
    ),
    Mutant(
        "ex23-7",
        "frees a graph one module late",
        changed(
            STREAM,
            (
                "                h_out.backward(credit)\n",
                "                h_out.backward(credit, retain_graph=True)\n",
            ),
            (
                "                del graphs[k]\n",
                "                graphs.pop(k - 1, None)\n",
            ),
        ),
    ),
    Mutant(
        "ex23-7",
        "the graph of every head is kept until the step is over",
        changed(
            STREAM,
            ("        loss.backward()\n", "        loss.backward(retain_graph=True)\n"),
            (
                "        losses.append(loss.item())\n",
                "        losses.append(loss)\n",
            ),
            ("    return losses\n", "    return [loss.item() for loss in losses]\n"),
        ),
    ),
    Mutant(
        "ex23-7",
        "every optimiser steps twice: for its head and for its module",
        changed(
            STREAM,
            (
                "        credit, learners",
                "        optimisers[j].step()\n        credit, learners",
            ),
        ),
    ),
    Mutant(
        "ex23-7",
        "every credit is halved at a cut",
        changed(
            STREAM,
            (
                "            credit = passed\n",
                "            credit = passed if passed is None else passed / 2\n",
            ),
        ),
    ),
    Mutant(
        "ex23-7",
        "one backward through the whole network: right weights, no memory saved",
        """def interlocking_step(blocks, heads, optimisers, x, y, n):
    losses = local_losses(blocks, heads, x, y).tolist()
    found = interlocked(blocks, heads, x, y, n)
    for parts, gradients in zip(((blocks), (heads)), found, strict=True):
        for part, values in zip(parts, gradients, strict=True):
            for p, value in zip(part.parameters(), values, strict=True):
                p.grad = value
    for optimiser in optimisers:
        optimiser.step()
    return losses
""",
    ),
    Mutant(
        "ex23-7",
        "graphs are kept until the end of the step",
        changed(
            STREAM,
            ("h_out.backward(credit)", "h_out.backward(credit, retain_graph=True)"),
            ("                del graphs[k]\n", ""),
        ),
    ),
    Mutant(
        "ex23-7",
        "takes and steps first, then passes through new weights",
        changed(
            STREAM,
            (
                "            if k > learners[0]:\n"
                "                (passed,) = torch.autograd.grad(h_out, h_in, credit, retain_graph=True)\n"
                "            if k in learners:\n"
                "                h_out.backward(credit)\n"
                "                optimisers[k].step()\n"
                "                del graphs[k]\n",
                "            if k in learners:\n"
                "                h_out.backward(credit, retain_graph=True)\n"
                "                optimisers[k].step()\n"
                "            if k > learners[0]:\n"
                "                again = h_in.detach().requires_grad_()\n"
                "                (passed,) = torch.autograd.grad(blocks[k](again), again, credit)\n"
                "            if k in learners:\n"
                "                del graphs[k]\n",
            ),
        ),
    ),
    Mutant(
        "ex23-7",
        "every module on the way takes the loss that passes",
        changed(
            STREAM,
            (
                "(passed,) = torch.autograd.grad(h_out, h_in, credit, retain_graph=True)",
                "h_in.grad = None\n"
                "                h_out.backward(credit, retain_graph=True)\n"
                "                passed = h_in.grad",
            ),
        ),
    ),
    Mutant(
        "ex23-7",
        "old gradients are not cleared",
        changed(STREAM, ("        optimisers[j].zero_grad()\n", "")),
    ),
    Mutant(
        "ex23-7",
        "heads of losses that train nobody are not trained",
        changed(
            STREAM,
            (
                "        credit, learners = leaf.grad, takers(j, n, K)\n",
                "        credit, learners = leaf.grad, takers(j, n, K)\n"
                "        if not learners:\n            heads[j].zero_grad()\n",
            ),
        ),
    ),
    Mutant(
        "ex23-7",
        "only the lowest of the last modules learns from the last loss",
        changed(STREAM, ("if k in learners:", "if k == learners[0]:")),
    ),
    Mutant(
        "ex23-7",
        "the credit is handed down unchanged, as if modules were the identity",
        changed(
            STREAM,
            (
                "            credit = passed\n",
                "            alike = passed is not None and credit.shape == passed.shape\n"
                "            credit = credit if alike else passed\n",
            ),
        ),
    ),
    Mutant(
        "ex23-7",
        "the next module runs on states of updated weights",
        changed(
            STREAM,
            (
                "            credit = passed\n",
                "            credit = passed\n"
                "        with torch.no_grad():\n"
                "            h = blocks[j](graphs[j][0] if j in graphs else h_in)\n",
            ),
        ),
    ),
    Mutant(
        "ex23-7",
        "the losses are those after the update",
        changed(
            STREAM,
            (
                "    return losses\n",
                "    return local_losses(blocks, heads, x, y).tolist()\n",
            ),
        ),
    ),
    Mutant(
        "ex23-1",
        "takers by the rule of the middle, also at the end",
        """def target(k,n,K):
    return min(k+min(n,K-k)-1,K-1)
def takers(j,n,K):
    return [k for k in range(K) if k+n-1==j]""",
    ),
    Mutant(
        "ex23-2",
        "the gradient of the square without its factor one half",
        """def chain_gradients(w, a, x, y, n):
    K, scale = len(w), [*a, 1.0]
    h = [x]
    for weight in w:
        h.append(weight * h[-1])
    errors = [scale[k] * h[k + 1] - y for k in range(K)]
    for_w = []
    for k in range(K):
        j = target(k, n, K)
        for_w.append(2*errors[j] * scale[j] * math.prod(w[k + 1 : j + 1]) * h[k])
    return for_w, [2*errors[k]*h[k+1] for k in range(K - 1)]""",
    ),
    slip(
        "ex23-2",
        "the credit passes all heads on its way",
        (
            "for_w.append(errors[j] * scale[j] * math.prod(w[k + 1:j + 1]) * h[k])",
            "for_w.append(errors[j] * math.prod(scale[k:j + 1]) * math.prod(w[k + 1:j + 1]) * h[k])",
        ),
    ),
    slip(
        "ex23-2",
        "a head is multiplied into its own gradient",
        (
            "return (for_w, [errors[k] * h[k + 1] for k in range(K - 1)])",
            "return (for_w, [errors[k] * h[k + 1] * scale[k] for k in range(K - 1)])",
        ),
    ),
    slip(
        "ex23-2",
        "appends the last head's one to the caller's list",
        (
            "    K, scale = (len(w), [*a, 1.0])",
            "    K, scale = (len(w), a)\n    a.append(1.0)",
        ),
    ),
    slip(
        "ex23-3",
        "losses are divided by their number",
        (
            "losses.append(cross_entropy(head(h), y))",
            "losses.append(cross_entropy(head(h), y) / len(blocks))",
        ),
    ),
    slip(
        "ex23-3",
        "gradients are scaled to length one",
        (
            "    for_heads = [pull(losses[k], heads[k]) for k in range(K)]",
            "    for_heads = [pull(losses[k], heads[k]) for k in range(K)]\n"
            "    for_blocks = [[g / g.norm() for g in b] for b in for_blocks]",
        ),
    ),
    slip(
        "ex23-3",
        "biases take nothing",
        (
            "    for_heads = [pull(losses[k], heads[k]) for k in range(K)]",
            "    for_heads = [pull(losses[k], heads[k]) for k in range(K)]\n"
            "    for_blocks = [[b[0], 0 * b[1]] for b in for_blocks]",
        ),
    ),
    slip(
        "ex23-3",
        "leaves the blocks in evaluation mode",
        (
            "    losses, h = ([], x)",
            "    losses, h = ([], x)\n    [b.eval() for b in blocks]",
        ),
    ),
    slip(
        "ex23-3",
        "the losses of the first sample",
        (
            "losses.append(cross_entropy(head(h), y))",
            "losses.append(cross_entropy(head(h[:1]), y[:1]))",
        ),
    ),
    Mutant(
        "ex23-4",
        "looks at the first entry only",
        """def declared(n, K):
    j, i = torch.meshgrid(torch.arange(K), torch.arange(K), indexing="ij")
    takes = j == (i + n - 1).clamp(max=K - 1)
    return takes, (j - n < i) & (i <= j)
def measured(step, K):
    s=step(torch.zeros(K)); return torch.stack([torch.tensor([bool(g[0]!=t[0]) for g,t in zip(step(wt),s)]) for wt in torch.eye(K)])""",
    ),
    Mutant(
        "ex23-4",
        "compares the sums of the entries",
        """def declared(n, K):
    j, i = torch.meshgrid(torch.arange(K), torch.arange(K), indexing="ij")
    takes = j == (i + n - 1).clamp(max=K - 1)
    return takes, (j - n < i) & (i <= j)
def measured(step, K):
    s=step(torch.zeros(K)); return torch.stack([torch.tensor([bool(g.sum()!=t.sum()) for g,t in zip(step(wt),s)]) for wt in torch.eye(K)])""",
    ),
    Mutant(
        "ex23-4",
        "compares the lengths",
        """def declared(n, K):
    j, i = torch.meshgrid(torch.arange(K), torch.arange(K), indexing="ij")
    takes = j == (i + n - 1).clamp(max=K - 1)
    return takes, (j - n < i) & (i <= j)
def measured(step, K):
    s=step(torch.zeros(K)); return torch.stack([torch.tensor([bool(g.norm()!=t.norm()) for g,t in zip(step(wt),s)]) for wt in torch.eye(K)])""",
    ),
    Mutant(
        "ex23-4",
        "losses that were switched on stay on",
        """def declared(n, K):
    j, i = torch.meshgrid(torch.arange(K), torch.arange(K), indexing="ij")
    takes = j == (i + n - 1).clamp(max=K - 1)
    return takes, (j - n < i) & (i <= j)
def measured(step, K):
    wt=torch.zeros(K); s=step(wt); out=[]
    for j in range(K):
        wt[j]=1
        out.append(torch.tensor([bool((g!=t).any()) for g,t in zip(step(wt),s)]))
    return torch.stack(out)""",
    ),
    slip(
        "ex23-5",
        "divides by the mean of the squared lengths",
        (
            "lengths = math.sqrt(inner(one, one)) * math.sqrt(inner(other, other))",
            "lengths = (inner(one, one) + inner(other, other)) / 2",
        ),
    ),
    slip(
        "ex23-5",
        "negative cosines are set to zero",
        ("return torch.tensor(cosines)", "return torch.tensor(cosines).clamp(0, 1)"),
    ),
    slip(
        "ex23-5",
        "the angle, not its cosine",
        (
            "return torch.tensor(cosines)",
            "return torch.tensor(cosines).clamp(-1, 1).acos()",
        ),
    ),
    slip(
        "ex23-6",
        "nobody spends time on passing the credit on",
        (
            "        arrives = (j + 1) * F + (j - k) * B / 2\n"
            "        passes = k > takers(j, n, K)[0]\n"
            "        times.append(arrives + (B / 2 if passes else 0.0) + B / 2)",
            "        times.append((j + 1) * F + (j - k) * B / 2 + B / 2)",
        ),
    ),
    slip(
        "ex23-6",
        "the times in rising order, not by module",
        (
            "        arrives = (j + 1) * F + (j - k) * B / 2\n"
            "        passes = k > takers(j, n, K)[0]\n"
            "        times.append(arrives + (B / 2 if passes else 0.0) + B / 2)\n"
            "    return times",
            "        times.append((j + 1) * F + (j - k) * B / 2 + (B / 2 if k > takers(j, n, K)[0] else 0.0) + B / 2)\n"
            "    return sorted(times)",
        ),
    ),
    slip(
        "ex23-6",
        "every module but the first passes",
        (
            "        arrives = (j + 1) * F + (j - k) * B / 2\n"
            "        passes = k > takers(j, n, K)[0]\n"
            "        times.append(arrives + (B / 2 if passes else 0.0) + B / 2)",
            "        times.append((j + 1) * F + (j - k) * B / 2 + (B / 2 if k > 0 else 0.0) + B / 2)",
        ),
    ),
    Mutant(
        "ex23-6",
        "the largest head so far on top",
        """def peak(n, graphs, heads):
    K, held, most = len(graphs), set(), 0
    for j in range(K):
        held.add(j)
        most = max(most, sum(graphs[k] for k in held) + max(heads[: j + 1]))
        held -= set(takers(j, n, K))
    return most
def update_times(n, K, F, B):
    times = []
    for k in range(K):
        j = target(k, n, K)
        times.append((j + 1) * F + (j - k) * B / 2 + (B / 2 if k > takers(j, n, K)[0] else 0.0) + B / 2)
    return times""",
    ),
    slip(
        "ex23-7",
        "clears the gradients of a module when it takes, those of its head too",
        (
            "            if k in learners:",
            "            if k in learners:\n                optimisers[k].zero_grad()",
        ),
    ),
    slip(
        "ex23-7",
        "losses are divided by their number",
        (
            "loss = cross_entropy(heads[j](leaf), y)",
            "loss = cross_entropy(heads[j](leaf), y) / K",
        ),
    ),
    slip(
        "ex23-7",
        "puts the blocks into evaluation mode",
        (
            "        optimisers[j].zero_grad()",
            "        optimisers[j].zero_grad()\n        blocks[j].eval()",
        ),
    ),
    slip(
        "ex23-7",
        "tells running means of the losses",
        (
            "losses.append(loss.item())",
            "losses.append((sum(losses) + loss.item()) / (j + 1))",
        ),
    ),
    slip(
        "ex23-7",
        "credit is scaled to length one",
        (
            "credit, learners = (leaf.grad, takers(j, n, K))",
            "credit, learners = (leaf.grad / leaf.grad.norm(), takers(j, n, K))",
        ),
    ),
    slip(
        "ex23-7",
        "all samples share the mean credit",
        (
            "credit, learners = (leaf.grad, takers(j, n, K))",
            "credit, learners = (leaf.grad.mean(0, keepdim=True).expand_as(leaf), takers(j, n, K))",
        ),
    ),
    slip(
        "ex23-7",
        "the horizon is one module too short",
        (
            "credit, learners = (leaf.grad, takers(j, n, K))",
            "credit, learners = (leaf.grad, takers(j, max(n - 1, 1), K))",
        ),
    ),
]

ALTERNATIVES = [
    Alternative(
        "ex23-1",
        "cases instead of min, takers written down",
        """def target(k, n, K):
    return k + n - 1 if k + n < K else K - 1


def takers(j, n, K):
    if j == K - 1:
        return list(range(K - n, K))
    return [j - n + 1] if j >= n - 1 else []
""",
    ),
    Alternative(
        "ex23-1",
        "a sorted pair and a filter",
        """def target(k, n, K):
    return sorted((k + n - 1, K - 1))[0]


def takers(j, n, K):
    return list(filter(lambda k: target(k, n, K) == j, range(K)))
""",
    ),
    Alternative(
        "ex23-1",
        "ranges in place of lists",
        """def target(k, n, K):
    return K - 1 if k > K - n else k + n - 1


def takers(j, n, K):
    if j == K - 1:
        return range(K - n, K)
    return range(j - n + 1, j - n + 2) if j >= n - 1 else range(0)
""",
    ),
    Alternative(
        "ex23-2",
        "credit handed down module by module",
        """def chain_gradients(w, a, x, y, n):
    K, scale, h = len(w), list(a) + [1.0], [x]
    for k in range(K):
        h.append(w[k] * h[k])
    for_w = [0.0] * K
    for j in range(K):
        credit = (scale[j] * h[j + 1] - y) * scale[j]
        for k in range(j, -1, -1):
            if target(k, n, K) == j:
                for_w[k] = credit * h[k]
            credit = credit * w[k]
    return for_w, [(a[k] * h[k + 1] - y) * h[k + 1] for k in range(K - 1)]
""",
    ),
    Alternative(
        "ex23-2",
        "states by products, a loop for the weights between",
        """def chain_gradients(w, a, x, y, n):
    K = len(w)
    state = lambda k: x * math.prod(w[:k])
    factor = lambda j: a[j] if j < K - 1 else 1.0
    for_w = []
    for k in range(K):
        j = min(k + n - 1, K - 1)
        value = (factor(j) * state(j + 1) - y) * factor(j) * state(k)
        for i in range(k + 1, j + 1):
            value *= w[i]
        for_w.append(value)
    return for_w, [(a[k] * state(k + 1) - y) * state(k + 1) for k in range(K - 1)]
""",
    ),
    Alternative(
        "ex23-3",
        "a window of its own for every module",
        """def interlocked(blocks, heads, x, y, n):
    K, for_blocks, for_heads, h_in = len(blocks), [], [], x
    for k in range(K):
        j, h = min(k + n - 1, K - 1), h_in
        for block in blocks[k : j + 1]:
            h = block(h)
        loss = cross_entropy(heads[j](h), y)
        for_blocks.append(list(torch.autograd.grad(loss, list(blocks[k].parameters()))))
        h_in = blocks[k](h_in).detach()
        tops = list(heads[k].parameters())
        own = cross_entropy(heads[k](h_in), y)
        for_heads.append(list(torch.autograd.grad(own, tops)) if tops else [])
    return for_blocks, for_heads
""",
    ),
    Alternative(
        "ex23-3",
        "functional calls on copies of the network",
        """def interlocked(blocks, heads, x, y, n):
    K, for_blocks, for_heads = len(blocks), [], []
    for index in range(2 * K):
        bodies, tops = deepcopy(blocks), deepcopy(heads)
        part = (bodies + tops)[index]
        for p in part.parameters():
            p.grad = None
        j, h = target(index, n, K) if index < K else index - K, x
        for body in bodies[: j + 1]:
            h = body(h)
        loss = cross_entropy(tops[j](h), y)
        if any(True for _ in part.parameters()):
            loss.backward()
        (for_blocks if index < K else for_heads).append([p.grad for p in part.parameters()])
    return for_blocks, for_heads
""",
    ),
    Alternative(
        "ex23-4",
        "loops for the promise, one loss switched off for the measure",
        """def declared(n, K):
    takes = torch.zeros(K, K, dtype=torch.bool)
    reaches = torch.zeros(K, K, dtype=torch.bool)
    for i in range(K):
        takes[target(i, n, K), i] = True
        for j in range(i, min(i + n, K)):
            reaches[j, i] = True
    return takes, reaches


def measured(step, K):
    rows, silent = [], step(torch.zeros(K))
    for j in range(K):
        weights = torch.zeros(K)
        weights[j] = 5.0
        rows.append([bool((a != b).any()) for a, b in zip(step(weights), silent, strict=True)])
    return torch.tensor(rows)
""",
    ),
    Alternative(
        "ex23-4",
        "triangles",
        """def declared(n, K):
    ones = torch.ones(K, K, dtype=torch.bool)
    takes = torch.stack([torch.arange(K) == target(i, n, K) for i in range(K)], dim=1)
    return takes, ones.tril() & ones.triu(1 - n)


def measured(step, K):
    silent = torch.stack([g.flatten() for g in step(torch.zeros(K))])
    loud = [torch.stack([g.flatten() for g in step(row)]) for row in torch.eye(K)]
    return torch.stack([(one - silent).ne(0).any(dim=1) for one in loud])
""",
    ),
    Alternative(
        "ex23-5",
        "joined vectors, divided by NaN where there is no length",
        """def alignment(ours, theirs):
    rows = []
    for one, other in zip(ours, theirs, strict=True):
        a, b = (torch.cat([torch.zeros(0), *(t.flatten() for t in m)]) for m in (one, other))
        rows.append((a @ b) / (a.norm() * b.norm()))  # 0 / 0 is NaN
    return torch.stack(rows)
""",
    ),
    Alternative(
        "ex23-5",
        "unit vectors first",
        """def alignment(ours, theirs):
    def unit(tensors):
        length = math.sqrt(inner(tensors, tensors))
        return [t / length for t in tensors] if length else None

    found = []
    for one, other in zip(map(unit, ours), map(unit, theirs), strict=True):
        found.append(math.nan if one is None or other is None else inner(one, other))
    return torch.tensor(found)
""",
    ),
    Alternative(
        "ex23-6",
        "windows as slices, the last modules as a case of their own",
        """def peak(n, graphs, heads):
    K = len(graphs)
    return max(sum(graphs[max(0, j - n + 1) : j + 1]) + heads[j] for j in range(K))


def update_times(n, K, F, B):
    times = []
    for k in range(K):
        if k <= K - n:
            times.append((k + n) * F + (n - 1) * B / 2 + B / 2)
        else:
            times.append(K * F + (K - 1 - k) * B / 2 + B)
    return times
""",
    ),
    Alternative(
        "ex23-6",
        "a running sum, and a clock that is played",
        """def peak(n, graphs, heads):
    held, most = 0, 0
    for j, graph in enumerate(graphs):
        held += graph
        most = max(most, held + heads[j])
        if j >= n - 1:
            held -= graphs[j - n + 1]
    return most


def update_times(n, K, F, B):
    done = [0.0] * K
    for j in range(K):
        clock = (j + 1) * F
        learners = takers(j, n, K)
        for k in range(j, -1, -1):
            if not learners or k < learners[0]:
                break
            after = clock + B / 2 if k > learners[0] else clock
            if k in learners:
                done[k] = after + B / 2
            clock = after
    return done
""",
    ),
    Alternative(
        "ex23-7",
        "gradients asked for and put into .grad, pass and take in one sweep",
        """def interlocking_step(blocks, heads, optimisers, x, y, n):
    K, graphs, losses, h = len(blocks), [], [], x
    for j in range(K):
        h_in = h.detach().requires_grad_()
        h_out = blocks[j](h_in)
        graphs.append((h_in, h_out))
        h = h_out.detach()
        leaf, tops = h.clone().requires_grad_(), list(heads[j].parameters())
        loss = cross_entropy(heads[j](leaf), y)
        credit, *found = torch.autograd.grad(loss, [leaf, *tops])
        for p, value in zip(tops, found, strict=True):
            p.grad = value
        losses.append(loss.item())
        del loss, h_out, h_in
        learners = takers(j, n, K)
        for k in range(j, (learners[0] if learners else K) - 1, -1):
            own = list(blocks[k].parameters()) if k in learners else []
            h_in, h_out = graphs[k]
            back, *found = torch.autograd.grad(
                h_out, [h_in, *own], credit, retain_graph=not own
            )
            for p, value in zip(own, found, strict=True):
                p.grad = value
            if own:
                optimisers[k].step()
                graphs[k] = None
            del h_in, h_out
            credit = back
    return losses
""",
    ),
    Alternative(
        "ex23-7",
        "torch.func: pullbacks in place of graphs",
        """from torch.func import functional_call, vjp


def interlocking_step(blocks, heads, optimisers, x, y, n):
    K, waiting, losses, h = len(blocks), {}, [], x.detach()
    for j in range(K):
        optimisers[j].zero_grad()
        own = {name: p.detach() for name, p in blocks[j].named_parameters()}
        h, waiting[j] = vjp(
            lambda p, s, part=blocks[j]: functional_call(part, p, (s,)), own, h
        )
        top = {name: p.detach() for name, p in heads[j].named_parameters()}
        loss, pull = vjp(
            lambda q, s, part=heads[j]: cross_entropy(functional_call(part, q, (s,)), y),
            top,
            h,
        )
        for_head, credit = pull(torch.ones_like(loss))
        for name, p in heads[j].named_parameters():
            p.grad = for_head[name]
        losses.append(loss.item())
        learners = takers(j, n, K)
        for k in range(j, (learners[0] if learners else K) - 1, -1):
            for_block, below = waiting[k](credit)
            if k in learners:
                for name, p in blocks[k].named_parameters():
                    p.grad = for_block[name]
                optimisers[k].step()
                del waiting[k]
            credit = below
    return losses
""",
    ),
    Alternative(
        "ex23-7",
        "a function that brings the credit of a loss down to a module",
        """def interlocking_step(blocks, heads, optimisers, x, y, n):
    K = len(blocks)
    inputs, outputs, losses = {}, {}, []

    def settle(j, credit):
        learners = takers(j, n, K)
        if not learners:
            return
        k = j
        while True:
            lower = None
            if k != learners[0]:
                lower = torch.autograd.grad(
                    outputs[k], inputs[k], credit, retain_graph=True
                )[0]
            if k in learners:
                outputs.pop(k).backward(credit)
                inputs.pop(k)
                optimisers[k].step()
            if k == learners[0]:
                return
            k, credit = k - 1, lower

    state = x
    for j in range(K):
        for p in (*blocks[j].parameters(), *heads[j].parameters()):
            p.grad = None
        inputs[j] = state.clone().requires_grad_()
        outputs[j] = blocks[j](inputs[j])
        state = outputs[j].detach()
        tip = state.clone().requires_grad_()
        loss = cross_entropy(heads[j](tip), y)
        loss.backward()
        losses.append(loss.item())
        settle(j, tip.grad)
    return losses
""",
    ),
    Alternative(
        "ex23-3",
        "tuples in place of lists",
        """def interlocked(blocks, heads, x, y, n):
    losses, h = [], x
    for block, head in zip(blocks, heads, strict=True):
        h = block(h)
        losses.append(cross_entropy(head(h), y))
    def pull(loss, part):
        own = list(part.parameters())
        return torch.autograd.grad(loss, own, retain_graph=True) if own else ()
    K = len(blocks)
    for_blocks = [pull(losses[target(k, n, K)], blocks[k]) for k in range(K)]
    for_heads = [pull(losses[k], heads[k]) for k in range(K)]
    return for_blocks, for_heads""",
    ),
    Alternative(
        "ex23-7",
        "the losses as tensors without a graph",
        """def interlocking_step(blocks, heads, optimisers, x, y, n):
    K, graphs, losses, h = len(blocks), {}, [], x
    for j in range(K):
        optimisers[j].zero_grad()
        h_in = h.detach().requires_grad_()
        graphs[j] = h_in, blocks[j](h_in)
        h = graphs[j][1].detach()
        leaf = h.clone().requires_grad_()
        loss = cross_entropy(heads[j](leaf), y)
        losses.append(loss.detach())
        loss.backward()
        credit, learners = leaf.grad, takers(j, n, K)
        for k in range(j, min(learners, default=K) - 1, -1):
            h_in, h_out = graphs[k]
            passed = None
            if k > learners[0]:
                (passed,) = torch.autograd.grad(h_out, h_in, credit, retain_graph=True)
            if k in learners:
                h_out.backward(credit)
                optimisers[k].step()
                del graphs[k]
            credit = passed
    return losses""",
    ),
]
