//! Time of a life and of a refusal. The rows that end in `inputs` are what others are net of.

workitem_bench::time!(workitem_peer_machines::visit);
