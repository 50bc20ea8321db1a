//! Time of a life and of a refusal. `inputs` and `late_inputs` are what others are net of.

workitem_bench::time!(workitem_bench::visit);
