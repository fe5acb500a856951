//! The consensus core of Thermocline: leaseless Paxos as a pure state machine.
