"""What the toy takes: nobody has measured it."""

from __future__ import annotations

from lnn.planning import memory
from lnn.planning.cost_model import Costs, Course, Need


class Toy(Costs):
    def course(self) -> Course:
        return Course(epoch=self.passes(1.0, self.job.examples, self.job.test_examples))

    def needs(self) -> list[Need]:
        return [("trainer.memory", memory.trainer_mb(self.job))]
