//! Classic BPF, written from its end to its beginning so that every jump target is known when it is needed.

use super::profile::{Condition, Operator};

// linux/bpf_common.h.
pub(super) const LOAD: u16 = 0x20;
pub(super) const JUMP: u16 = 0x05;
pub(super) const JUMP_EQUAL: u16 = 0x15;
pub(super) const JUMP_GREATER: u16 = 0x25;
pub(super) const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
pub(super) const RETURN: u16 = 0x06;
pub(super) const AND: u16 = 0x54;
pub(super) const SUBTRACT: u16 = 0x14;

/// A conditional jump reaches 255 instructions; some of that is kept for a trampoline pushed in between.
const REACH: usize = 250;

/// `struct seccomp_data`: number, architecture, instruction pointer, six arguments (little-endian halves).
pub(super) const NUMBER: u32 = 0;
pub(super) const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

#[derive(Debug, Clone, Copy)]
struct Instruction {
    code: u16,
    yes: u8,
    no: u8,
    operand: u32,
}

/// Where control goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// To a return of this value, an existing one or a new one.
    Return(u32),
    /// To an instruction, counted from the end.
    At(usize),
}

/// The program so far, last instruction first.
#[derive(Debug, Default)]
pub(super) struct Emitter {
    reversed: Vec<Instruction>,
    /// The latest return of each value: (value, index).
    returns: Vec<(u32, usize)>,
}

impl Emitter {
    fn push(&mut self, code: u16, yes: u8, no: u8, operand: u32) -> usize {
        self.reversed.push(Instruction { code, yes, no, operand });
        self.reversed.len() - 1
    }

    /// How many instructions the next one would have to skip.
    fn distance(&self, index: usize) -> usize {
        self.reversed.len() - index - 1
    }

    /// Makes `target` an index within reach of the next instructions.
    fn near(&mut self, target: Target) -> usize {
        match target {
            Target::Return(value) => {
                let latest = self.returns.iter().position(|(other, _)| *other == value);
                if let Some(latest) = latest
                    && self.distance(self.returns[latest].1) < REACH
                {
                    return self.returns[latest].1;
                }
                let index = self.push(RETURN, 0, 0, value);
                match latest {
                    Some(latest) => self.returns[latest].1 = index,
                    None => self.returns.push((value, index)),
                }
                index
            }
            Target::At(index) if self.distance(index) < REACH => index,
            Target::At(index) => {
                let distance = u32::try_from(self.distance(index)).unwrap_or(u32::MAX);
                self.push(JUMP, 0, 0, distance)
            }
        }
    }

    /// Emits a comparison of the accumulator with `operand`.
    pub(super) fn branch(&mut self, code: u16, operand: u32, yes: Target, no: Target) -> Target {
        if yes == no {
            return yes;
        }
        let yes = self.near(yes);
        let no = self.near(no);
        // REACH leaves room for what `near` may have pushed since.
        let offset = |index| u8::try_from(self.distance(index)).unwrap_or(u8::MAX);
        let (yes, no) = (offset(yes), offset(no));
        Target::At(self.push(code, yes, no, operand))
    }

    /// Emits an instruction that runs on into `next`.
    pub(super) fn then(&mut self, code: u16, operand: u32, next: Target) -> Target {
        match next {
            Target::At(index) if self.distance(index) == 0 => {}
            Target::At(index) => {
                let distance = u32::try_from(self.distance(index)).unwrap_or(u32::MAX);
                self.push(JUMP, 0, 0, distance);
            }
            Target::Return(value) => {
                self.push(RETURN, 0, 0, value);
            }
        }
        Target::At(self.push(code, 0, 0, operand))
    }

    /// Emits a balanced search for the run that the accumulator falls into; runs are (first value, target), from 0.
    pub(super) fn search(&mut self, runs: &[(u32, Target)]) -> Target {
        match runs {
            [] => Target::Return(0),
            [(_, target)] => *target,
            _ => {
                let (low, high) = runs.split_at(runs.len() / 2);
                let first = high[0].0;
                let high = self.search(high);
                let low = self.search(low);
                self.branch(JUMP_GREATER_OR_EQUAL, first, high, low)
            }
        }
    }

    /// Emits a load of one half of an argument, then `next`.
    pub(super) fn load_argument(&mut self, argument: u8, half: Half, next: Target) -> Target {
        let offset = ARGUMENTS + 8 * u32::from(argument) + if half == Half::High { 4 } else { 0 };
        self.then(LOAD, offset, next)
    }

    /// Emits a 64-bit comparison of an argument.
    pub(super) fn compare(&mut self, condition: &Condition, yes: Target, no: Target) -> Target {
        let (high, low) = halves(condition.value);
        let argument = condition.argument;
        match condition.operator {
            Operator::Equal | Operator::NotEqual => {
                let (yes, no) = if condition.operator == Operator::Equal { (yes, no) } else { (no, yes) };
                let low = self.branch(JUMP_EQUAL, low, yes, no);
                let low = self.load_argument(argument, Half::Low, low);
                let high = self.branch(JUMP_EQUAL, high, low, no);
                self.load_argument(argument, Half::High, high)
            }
            Operator::Greater => self.ordered(argument, JUMP_GREATER, condition.value, yes, no),
            Operator::LessOrEqual => self.ordered(argument, JUMP_GREATER, condition.value, no, yes),
            Operator::GreaterOrEqual => {
                self.ordered(argument, JUMP_GREATER_OR_EQUAL, condition.value, yes, no)
            }
            Operator::Less => self.ordered(argument, JUMP_GREATER_OR_EQUAL, condition.value, no, yes),
            Operator::Masked(mask) => {
                let (mask_high, mask_low) = halves(mask);
                let next = self.branch(JUMP_EQUAL, low, yes, no);
                let next = self.then(AND, mask_low, next);
                let next = self.load_argument(argument, Half::Low, next);
                if (mask_high, high) == (0, 0) {
                    return next;
                }
                let next = self.branch(JUMP_EQUAL, high, next, no);
                let next = self.then(AND, mask_high, next);
                self.load_argument(argument, Half::High, next)
            }
        }
    }

    fn ordered(&mut self, argument: u8, code: u16, value: u64, yes: Target, no: Target) -> Target {
        let (high, low) = halves(value);
        let next = self.branch(code, low, yes, no);
        let next = self.load_argument(argument, Half::Low, next);
        let next = self.branch(JUMP_EQUAL, high, next, no);
        let next = self.branch(JUMP_GREATER, high, yes, next);
        self.load_argument(argument, Half::High, next)
    }

    /// How many instructions there are.
    pub(super) fn len(&self) -> usize {
        self.reversed.len()
    }

    /// The program as `struct sock_filter`s; it starts with the instruction emitted last.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.reversed.len() * 8);
        for instruction in self.reversed.iter().rev() {
            bytes.extend(instruction.code.to_le_bytes());
            bytes.extend([instruction.yes, instruction.no]);
            bytes.extend(instruction.operand.to_le_bytes());
        }
        bytes
    }
}

/// Half of a 64-bit argument; the accumulator has 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Low,
    High,
}

/// Splits into (high, low).
#[allow(clippy::cast_possible_truncation, reason = "each half is cut out on purpose")]
fn halves(value: u64) -> (u32, u32) {
    ((value >> 32) as u32, value as u32)
}
