"""Reverse mode of several objectives from one pass forward, each in variables of its own.

autograd's `grad` records a pass for one objective in all that it differentiates. Here every operation keeps what it was given, and a
pull goes back only where one of its own variables lies before, in the order of autograd's: its gradients are those of `grad`, bit for bit.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from functools import partial, reduce

import numpy as np
from autograd.core import VJPNode, add_outgrads, primitive_vjps
from autograd.extend import vspace
from autograd.tracer import Node, getval, new_box, notrace_primitives, trace_stack
from autograd.util import toposort


class _Operation(Node):
    """`before`: a bit for each variable that it depends on."""

    __slots__ = ("before", "parents", "made")

    def __init__(self, value, function, arguments, options, numbers, parents):
        self.before = reduce(operator.or_, (parent.before for parent in parents))
        self.parents, self.made = parents, (function, value, arguments, options, numbers)

    def initialize_root(self, before):
        self.before, self.parents = before, ()

    def towards(self, wanted):
        """The parents that depend on any of the variables `wanted`."""
        return [parent for parent in self.parents if parent.before & wanted]

    def back(self, gradient, wanted):
        """The gradients in `towards(wanted)`."""
        function, value, arguments, options, numbers = self.made
        pairs = zip(numbers, self.parents, strict=True)
        numbers = tuple(number for number, parent in pairs if parent.before & wanted)
        return primitive_vjps[function](numbers, value, arguments, options)(gradient)


notrace_primitives[_Operation] = notrace_primitives[VJPNode]  # what has no gradient


def traced(function: Callable, variables: Mapping) -> tuple[dict, Callable]:
    """(values, pull): function(variables) is {name: scalar}, these are its values, and pull(name, of) is {variable: gradient} of one of
    them in the variables that `of` names."""
    with trace_stack.new_trace() as level:
        roots = {name: _Operation.new_root(1 << number) for number, name in enumerate(variables)}
        results = function({name: new_box(value, level, roots[name]) for name, value in variables.items()})

    def pull(name: str, of: Iterable[str]) -> dict[str, np.ndarray]:
        of = list(of)
        wanted, end = sum(roots[one].before for one in of), results[name]._node
        gradients, found = {end: (vspace(results[name]._value).ones(), False)}, {}
        for node in toposort(end, partial(_Operation.towards, wanted=wanted)):
            gradient, _ = gradients.pop(node)
            if not node.parents:
                found[node] = gradient
                continue
            for parent, one in zip(node.towards(wanted), node.back(gradient, wanted), strict=True):
                gradients[parent] = add_outgrads(gradients.get(parent), one)
        spaces = {one: vspace(variables[one]) for one in of}
        return {
            one: space.mut_add(None, found[roots[one]]) if roots[one] in found else space.zeros()
            for one, space in spaces.items()
        }

    return {name: getval(value) for name, value in results.items()}, pull
