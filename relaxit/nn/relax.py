"""A relaxation as a layer: a relaxed sample in training, a hard one otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, fx, nn

from relaxit.arguments import (
    floating,
    move_back,
    move_last,
    relaxation_class,
    relaxation_for,
    sample_estimator,
    unstated_sizes,
)
from relaxit.arithmetic import without_autocast
from relaxit.distribution import RelaxedDistribution
from relaxit.dtypes import compute_dtype
from relaxit.errors import ConfigurationError, Unsupported
from relaxit.estimators import SampleEstimator
from relaxit.masks import apply_mask
from relaxit.noise import Handle, Source
from relaxit.perturb import PerturbAndRelax
from relaxit.relaxation import Relaxation
from relaxit.shapes import plain_shape
from relaxit.temperature import check_temperature_value
from relaxit.tracing import can_read_values

__all__ = ["Relax"]

Evaluation = Literal["sample", "mode", "mean"]


class SizesOfTheInput(ConfigurationError, AttributeError):
    """The relaxation of a layer was asked for, but each input has its own.

    An AttributeError too: tracers ask for every attribute of a module.
    """


class Relax(nn.Module):
    """Map parameters ``[*batch, *param_shape]`` to samples ``[*batch, *event_shape]``.

    In training mode the estimator draws the sample, with its gradient. In evaluation mode the layer
    returns what ``evaluate`` says.

    Args:
        relaxation: a relaxation, or the name of one. Sizes that are not among the options are those
            of each input, so that one layer takes batches of any length.
        temperature: positive number, kept in a buffer, so that it is saved with the model and
            compiled code is not compiled again when it changes. Set it with
            :meth:`set_temperature`, or assign to ``layer.temperature``.
        estimator: an estimator that acts through the sample, or the name of one.
        learn_temperature: make (the logarithm of) the temperature a parameter instead.
        dim: dimension or dimensions of the params of one variable; the last ones if None.
        evaluate: in evaluation mode, ``"sample"`` is an exact draw of the discrete distribution,
            ``"mode"`` the most probable value (without a discrete distribution, the best one for
            the params without noise), both without gradient; ``"mean"`` is the mean of the discrete
            distribution (its marginals), with gradient. The latter two are deterministic.
        generator: source of randomness, on the device of the params. It can be replaced at any
            time. Its state is not part of ``state_dict()``.
        options: options of the relaxation, if it was given by name.

    Raises:
        UnknownName: if there is no such relaxation or estimator.
        ConfigurationError: if an option is missing, unknown or illegal, or ``learn_temperature`` is
            set with an estimator that gives the temperature no gradient.
        TypeError: if there are options and the relaxation is not given by name.
        Unsupported: if the estimator does not act through a sample, or lacks what it needs, or
            there is no mean.

    Example:
        >>> import torch, relaxit
        >>> from torch import nn
        >>> net = nn.Sequential(
        ...     nn.Linear(8, 6), nn.Unflatten(-1, (2, 3)),
        ...     relaxit.Relax("categorical", temperature=0.5),
        ...     nn.Flatten(-2), nn.Linear(6, 8))
        >>> net(torch.zeros(5, 8)).shape
        torch.Size([5, 8])
    """

    fixed_temperature: Tensor

    def __init__(
        self,
        relaxation: Relaxation | str,
        /,
        temperature: float | Tensor = 1.0,
        estimator: SampleEstimator | str = "pathwise",
        learn_temperature: bool = False,
        *,
        dim: int | Sequence[int] | None = None,
        evaluate: Evaluation = "sample",
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if options and not isinstance(relaxation, str):
            raise TypeError(f"{relaxation!r} has its options already; omit {', '.join(options)}")
        if evaluate not in get_args(Evaluation):
            raise ConfigurationError(
                f"evaluate must be one of {', '.join(get_args(Evaluation))}, got {evaluate!r}"
            )
        self.estimator = sample_estimator(estimator)
        self.options = options
        # Looked up once: a name that another plugin registers later changes nothing.
        found = relaxation if isinstance(relaxation, Relaxation) else relaxation_class(relaxation)
        self.unstated = unstated_sizes(found, options)
        self.given = found if self.unstated else relaxation_for(found, torch.Size(), options)
        self.dims = () if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
        self.evaluate = evaluate
        self.generator = generator
        for like in self.given.examples()[-1:] if self.unstated else [self.relaxation]:
            self._check(like, learn_temperature)
        number = temperature.item() if isinstance(temperature, Tensor) else temperature
        check_temperature_value(number, "Relax")
        self.learned = learn_temperature
        # Not 0-dim: torch.distributed.fsdp.fully_shard rejects parameters that are.
        start = torch.tensor(float(number))
        if learn_temperature:
            self.log_temperature = nn.Parameter(start.log().view(1))
        else:
            self.register_buffer("fixed_temperature", start)

    def _check(self, relaxation: Relaxation, learn_temperature: bool) -> None:
        """Reject what does not fit the structure."""
        self.estimator.check(relaxation)
        if self.evaluate == "mean" and not relaxation.capabilities.discrete_distribution:
            raise Unsupported(
                f"relaxation {relaxation.name!r} has no discrete distribution and so no mean; use "
                "evaluate='mode' or 'sample'"
            )
        if self.evaluate == "mode" and not (
            relaxation.capabilities.discrete_distribution or isinstance(relaxation, PerturbAndRelax)
        ):
            raise Unsupported(f"relaxation {relaxation.name!r} has no mode; use evaluate='sample'")
        if learn_temperature and not _temperature_gets_gradient(self.estimator, relaxation):
            raise ConfigurationError(
                f"learn_temperature: estimator {self.estimator.name!r} gives the temperature no "
                "gradient, so it would never change; use 'pathwise' or 'st-gumbel'"
            )

    @property
    def relaxation(self) -> Relaxation:
        """The relaxation, if its sizes do not depend on the input.

        Raises:
            ConfigurationError: if they do; each :meth:`distribution` has its own.
        """
        if not isinstance(self.given, Relaxation):
            raise SizesOfTheInput  # see __getattr__
        return self.given

    def __getattr__(self, name: str) -> Any:
        if name == "relaxation":
            raise SizesOfTheInput(
                f"{', '.join(self.unstated)} of {self.given.name!r} is that of each input; see "
                "layer.distribution(params).relaxation"
            )
        return super().__getattr__(name)

    @property
    def temperature(self) -> Tensor:
        """The temperature, a 0-dim tensor; assign a number to change it."""
        # A copy, so that it may be set between the forward and the backward pass.
        return self.log_temperature.exp()[0] if self.learned else self.fixed_temperature.clone()

    @temperature.setter
    def temperature(self, temperature: float | Tensor) -> None:
        self.set_temperature(temperature)

    @torch.no_grad()
    def set_temperature(self, temperature: float | Tensor) -> None:
        """Change the temperature in place.

        Args:
            temperature: positive number, or a tensor of one element, which is copied without
                waiting for its device: on a GPU its value is not checked.

        Raises:
            DomainError: if it is not finite and positive.
        """
        if not isinstance(temperature, Tensor):
            check_temperature_value(temperature, "Relax")
        elif can_read_values(temperature):
            check_temperature_value(temperature.item(), "Relax")
        held = self.log_temperature if self.learned else self.fixed_temperature
        if isinstance(temperature, Tensor):
            held.copy_(temperature.reshape(held.shape))
        else:
            held.fill_(temperature)
        if self.learned:
            held.log_()

    def distribution(self, params: Tensor, mask: Tensor | None = None) -> RelaxedDistribution:
        """Return the distribution that the layer samples from, at its temperature.

        Args:
            params, mask: as for :meth:`forward`. The dimensions of a variable are moved to the end.
        """
        scores = apply_mask("Relax", floating("Relax", "params", params), mask)
        scores = move_last(scores, self.dims)
        relaxation = relaxation_for(self.given, plain_shape(scores), self.options)
        return relaxation(scores, self.temperature)

    def forward(self, params: Tensor | fx.Proxy, mask: Tensor | None = None) -> Tensor:
        """Return samples, or in evaluation mode what ``evaluate`` says.

        Args:
            params: parameters ``[*batch, *param_shape]``, or with the variable at ``dim``.
            mask: bool tensor that broadcasts to params, True where a choice is allowed.

        Returns:
            ``[*batch, *event_shape]`` in the dtype of params, with the event at ``dim`` if it has
            as many dimensions as the params of a variable, and in the last dimensions otherwise.
        """
        if isinstance(params, fx.Proxy):  # in a symbolic trace the layer is one node
            node: Tensor = _as_node(self, params, mask)
            return node
        q = self.distribution(params, mask)
        with without_autocast(params):
            value = self._value(q)
        return move_back("Relax", value, self.dims, q.relaxation, params.dim())

    def _value(self, q: RelaxedDistribution) -> Tensor:
        if self.training:
            return self.estimator.sample(q, generator=self._source())
        if self.evaluate == "sample":
            return q.sample_hard(generator=self._source())
        if self.evaluate == "mean":
            return q.discrete.mean
        with torch.no_grad():
            return _mode(q)

    def _source(self) -> Any:
        """Return the generator, or in compiled code its handle."""
        source: Source = self._handle if torch.compiler.is_compiling() else self._generator
        return source

    @property
    def generator(self) -> torch.Generator | None:
        """Source of randomness; None is PyTorch's global generator."""
        return self._generator

    @generator.setter
    def generator(self, generator: torch.Generator | None) -> None:
        self._generator = generator
        self._handle = None if generator is None else Handle.of(generator)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_handle"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.generator = self._generator

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        key = f"{prefix}log_temperature"  # was 0-dim up to version 0.1
        if key in state_dict:
            state_dict[key] = state_dict[key].reshape(1)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        names = [f"{key}={value!r}" for key, value in self.options.items()]
        what = [repr(self.given.name), *names] if self.unstated else [repr(self.relaxation)]
        if self.dims:
            what.append(f"dim={self.dims}")
        return ", ".join([*what, f"estimator={self.estimator.name!r}, evaluate={self.evaluate!r}"])


def _mode(q: RelaxedDistribution) -> Tensor:
    """Return the mode, or the best vertex for params without noise."""
    if q.relaxation.capabilities.discrete_distribution:
        mode: Tensor = q.discrete.mode
        return mode
    assert isinstance(q.relaxation, PerturbAndRelax)  # checked when the layer was built
    return q.relaxation.argmax(q.params.to(compute_dtype(q.params.dtype))).to(q.params.dtype)


def _temperature_gets_gradient(estimator: SampleEstimator, relaxation: Relaxation) -> bool:
    """Try on one draw whether a gradient reaches the temperature."""
    dtype = next(d for d in relaxation.capabilities.dtypes if d in (torch.float32, torch.float64))
    with torch.inference_mode(False), torch.enable_grad():
        params = torch.zeros(relaxation.param_shape, dtype=dtype, device="cpu")
        temperature = torch.ones((), dtype=dtype, device="cpu", requires_grad=True)
        draws = torch.Generator().manual_seed(0)
        value = estimator.sample(relaxation(params, temperature), generator=draws)
    return value.requires_grad  # nothing else that requires a gradient has a part in it


def _as_node(layer: nn.Module, params: Any, mask: Any) -> Any:
    """Record a call of the layer in a symbolic trace, as PyTorch does for its own layers."""
    tracer = params.tracer
    given = (params,) if mask is None else (params, mask)
    return tracer.create_proxy("call_module", tracer.path_of_module(layer), given, {})
