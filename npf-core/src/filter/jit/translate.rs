//! Operations into cranelift's language: control flow, registers, and one arm per operation.
//!
//! # Contract
//!
//! [`translate`] makes a function `(frame, bytes there, length on the wire, table) -> bytes to keep`
//! that reads memory only
//! - in the frame, each load dominated by a comparison that shows its bytes to be there (`frame.rs`),
//! - in the table, at the slots of [`Translated::asked`];
//!
//! and that writes nothing, calls nothing, and has no jump back. `memory.rs` relies on that.
//!
//! Registers A and X and the scratch words are variables of cranelift, which keeps them where it likes;
//! what no way to a return uses is not computed at all.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AbiParam, Block, Function, InstBuilder, Value, types};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};

use super::super::ancillary::Field;
use super::super::op::{Alu, Op, SCRATCH_WORDS, Source, Test};
use super::JitError;
use super::frame::{Facts, Raw};
use super::length::{Required, required};

/// How code is generated. [`Rules::SOUND`] is right; any other is a compiler with a fault in it, for
/// the tests that prove that the comparison with the interpreter finds such faults.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Branches go the wrong way.
    pub(super) swap_branches: bool,
    /// How many bytes more than there are a load may touch.
    pub(super) slack: i64,
    /// JGT and JGE compare as signed numbers.
    pub(super) signed: bool,
    /// Loads turn their bytes round.
    pub(super) swap_bytes: bool,
    /// Division by X = 0 rejects.
    pub(super) test_divisor: bool,
}

impl Rules {
    pub(super) const SOUND: Self = Self {
        swap_branches: false,
        slack: 0,
        signed: false,
        swap_bytes: true,
        test_divisor: true,
    };
}

/// What a program may ask besides the bytes of a frame and their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    NetworkOffset,
    Field(Field),
}

impl Asked {
    /// How many there are.
    pub(super) const COUNT: usize = 1 + Field::COUNT;
}

/// A function, and what it asks.
pub(super) struct Translated {
    pub(super) function: Function,
    /// What to put into the table, by slot of four bytes; each at most once.
    pub(super) asked: Vec<Asked>,
}

/// Translates a validated program.
pub(super) fn translate(
    ops: &[Op],
    isa: &dyn TargetIsa,
    rules: Rules,
) -> Result<Translated, JitError> {
    let mut function = Function::new();
    let signature = &mut function.signature;
    signature.call_conv = isa.default_call_conv();
    let parameters = [types::I64, types::I64, types::I32, types::I64];
    signature.params.extend(parameters.map(AbiParam::new));
    signature.returns.push(AbiParam::new(types::I32));

    let mut context = FunctionBuilderContext::new();
    let builder = FunctionBuilder::new(&mut function, &mut context);
    let mut translator = Translator::new(builder, ops, rules);
    translator.program(ops)?;
    let asked = translator.end(isa);
    Ok(Translated { function, asked })
}

pub(super) struct Translator<'a> {
    pub(super) builder: FunctionBuilder<'a>,
    pub(super) rules: Rules,
    required: Vec<Required>,
    /// Where the ways go on that jumped, by operation.
    targets: Vec<Option<Target>>,
    /// Returns 0; made when first needed.
    reject: Option<Block>,
    pub(super) a: Variable,
    pub(super) x: Variable,
    scratch: [Variable; SCRATCH_WORDS],
    pub(super) frame: Value,
    pub(super) len: Value,
    wire_len: Value,
    table: Value,
    asked: Vec<Asked>,
}

/// A block that jumps lead to, and what holds on all of them.
struct Target {
    block: Block,
    facts: Facts,
}

impl<'a> Translator<'a> {
    fn new(mut builder: FunctionBuilder<'a>, ops: &[Op], rules: Rules) -> Self {
        let entry = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        builder.seal_block(entry);
        let parameters = builder.block_params(entry);
        let [frame, len, wire_len, table] = [0, 1, 2, 3].map(|n| parameters[n]);
        let zero = builder.ins().iconst(types::I32, 0);
        let mut variable = || {
            let variable = builder.declare_var(types::I32);
            builder.def_var(variable, zero);
            variable
        };
        let (a, x) = (variable(), variable());
        let scratch = [(); SCRATCH_WORDS].map(|()| variable());
        Self {
            builder,
            rules,
            required: required(ops),
            targets: ops.iter().map(|_| None).collect(),
            reject: None,
            a,
            x,
            scratch,
            frame,
            len,
            wire_len,
            table,
            asked: Vec::new(),
        }
    }

    /// All jumps lead forward, so that every way to an operation is known when its turn comes.
    fn program(&mut self, ops: &[Op]) -> Result<(), JitError> {
        let mut reached = Some(Facts::NONE);
        for (at, &op) in ops.iter().enumerate() {
            if let Some(facts) = reached {
                self.join(at, facts);
            }
            if let Some(Target { block, facts }) = self.targets[at].take() {
                self.builder.switch_to_block(block);
                self.builder.seal_block(block);
                reached = Some(facts);
            }
            if let Some(facts) = reached {
                reached = self.operation(at, op, facts)?;
            }
        }
        Ok(())
    }

    /// Goes on at `at`, by a jump only if others come there too.
    fn join(&mut self, at: usize, facts: Facts) {
        if let Some(target) = &mut self.targets[at] {
            target.facts = target.facts.both(facts);
            let block = target.block;
            self.builder.ins().jump(block, &[]);
        }
    }

    /// What holds behind the operation; `None` if nothing goes on right behind it.
    fn operation(&mut self, at: usize, op: Op, facts: Facts) -> Result<Option<Facts>, JitError> {
        if self.required[at].rejects() {
            return Ok(self.leave(0));
        }
        Ok(match op {
            Op::Load(size, k) => Some(self.load(size, k, self.required[at], facts)),
            Op::LoadIndirect(sum, size, k) => {
                Some(self.load_indirect(sum, size, k, self.required[at], facts))
            }
            Op::LoadNetwork(size, k) => Some(self.load_network(size, k, facts)),
            Op::LoadXHeaderLength(k) => Some(self.header_length(k, self.required[at], facts)),
            Op::LoadXHeaderLengthNetwork(k) => Some(self.header_length_network(k, facts)),
            Op::LoadField(field) => {
                let value = self.ask(Asked::Field(field));
                Some(self.set_a(value, facts))
            }
            Op::LoadLength => Some(self.set_a(self.wire_len, facts)),
            Op::LoadK(k) => {
                let k = self.constant(k);
                Some(self.set_a(k, facts))
            }
            Op::LoadScratch(word) => {
                let value = self.builder.use_var(self.scratch[usize::from(word)]);
                Some(self.set_a(value, facts))
            }
            Op::LoadXK(k) => {
                let value = self.constant(k);
                self.set_x(value, facts);
                Some(facts.x_is(k))
            }
            Op::LoadXScratch(word) => {
                let value = self.builder.use_var(self.scratch[usize::from(word)]);
                Some(self.set_x(value, facts))
            }
            Op::LoadXLength => Some(self.set_x(self.wire_len, facts)),
            Op::Store(word) => self.store(word, self.a, facts),
            Op::StoreX(word) => self.store(word, self.x, facts),
            Op::Alu(alu, source) => {
                let value = self.compute(alu, source);
                Some(self.set_a(value, facts))
            }
            Op::Negate => {
                let a = self.builder.use_var(self.a);
                let value = self.builder.ins().ineg(a);
                Some(self.set_a(value, facts))
            }
            Op::Jump(k) => {
                let block = self.target(at + 1 + k as usize, facts);
                self.builder.ins().jump(block, &[]);
                None
            }
            Op::Compare { jt, jf, .. } if jt == jf => {
                let block = self.target(at + 1 + usize::from(jt), facts);
                self.builder.ins().jump(block, &[]);
                None
            }
            Op::Compare { test, with, jt, jf } => {
                let condition = self.condition(test, with, facts);
                let then = self.target(at + 1 + usize::from(jt), facts);
                let otherwise = self.target(at + 1 + usize::from(jf), facts);
                let ways =
                    if self.rules.swap_branches { [otherwise, then] } else { [then, otherwise] };
                self.builder.ins().brif(condition, ways[0], &[], ways[1], &[]);
                None
            }
            Op::ReturnK(k) => self.leave(k),
            Op::ReturnA => {
                let a = self.builder.use_var(self.a);
                self.builder.ins().return_(&[a]);
                None
            }
            Op::KeepAll => self.leave(u32::MAX),
            Op::AToX => {
                let a = self.builder.use_var(self.a);
                Some(self.set_x(a, facts))
            }
            Op::XToA => {
                let x = self.builder.use_var(self.x);
                Some(self.set_a(x, facts))
            }
            Op::JumpBack(_) => return Err(JitError::Instruction { at, what: "a jump back" }),
            Op::FindAttribute | Op::FindNestedAttribute => {
                let what = "a search for a netlink attribute";
                return Err(JitError::Instruction { at, what });
            }
        })
    }

    fn end(mut self, isa: &dyn TargetIsa) -> Vec<Asked> {
        if let Some(reject) = self.reject {
            self.builder.switch_to_block(reject);
            self.builder.seal_block(reject);
            self.leave(0);
        }
        self.builder.finalize(isa.frontend_config());
        self.asked
    }

    /// The block that `at` starts, reached with one more set of facts.
    fn target(&mut self, at: usize, facts: Facts) -> Block {
        let builder = &mut self.builder;
        let new = || Target { block: builder.create_block(), facts };
        let target = self.targets[at].get_or_insert_with(new);
        target.facts = target.facts.both(facts);
        target.block
    }

    /// Rejects the frame unless `holds`.
    pub(super) fn or_reject(&mut self, holds: Value) {
        let reject = *self.reject.get_or_insert_with(|| {
            let block = self.builder.create_block();
            self.builder.set_cold_block(block);
            block
        });
        let next = self.builder.create_block();
        self.builder.ins().brif(holds, next, &[], reject, &[]);
        self.builder.switch_to_block(next);
        self.builder.seal_block(next);
    }

    fn leave(&mut self, accept: u32) -> Option<Facts> {
        let accept = self.constant(accept);
        self.builder.ins().return_(&[accept]);
        None
    }

    pub(super) fn constant(&mut self, k: u32) -> Value {
        self.builder.ins().iconst(types::I32, i64::from(k))
    }

    pub(super) fn set_a(&mut self, value: Value, facts: Facts) -> Facts {
        self.builder.def_var(self.a, value);
        Facts { raw: None, ..facts }
    }

    pub(super) fn set_x(&mut self, value: Value, facts: Facts) -> Facts {
        self.builder.def_var(self.x, value);
        Facts { from_x: 0, ..facts }
    }

    fn store(&mut self, word: u8, register: Variable, facts: Facts) -> Option<Facts> {
        let value = self.builder.use_var(register);
        self.builder.def_var(self.scratch[usize::from(word)], value);
        Some(facts)
    }

    /// Loads from the table.
    pub(super) fn ask(&mut self, what: Asked) -> Value {
        let slot = self.asked.iter().position(|asked| *asked == what).unwrap_or_else(|| {
            self.asked.push(what);
            self.asked.len() - 1
        });
        // There are fewer kinds than an offset has numbers.
        let offset = slot as i32 * 4;
        self.builder.ins().load(types::I32, super::frame::READ, self.table, offset)
    }

    fn operand(&mut self, source: Source) -> Value {
        match source {
            Source::K(k) => self.constant(k),
            Source::X => self.builder.use_var(self.x),
        }
    }

    fn compute(&mut self, alu: Alu, source: Source) -> Value {
        let a = self.builder.use_var(self.a);
        let mut b = self.operand(source);
        if matches!((alu, source), (Alu::Div | Alu::Mod, Source::X)) {
            b = self.divisor(b);
        }
        let ins = self.builder.ins();
        match alu {
            Alu::Add => ins.iadd(a, b),
            Alu::Sub => ins.isub(a, b),
            Alu::Mul => ins.imul(a, b),
            Alu::Div => ins.udiv(a, b),
            Alu::Mod => ins.urem(a, b),
            Alu::Or => ins.bor(a, b),
            Alu::And => ins.band(a, b),
            Alu::Xor => ins.bxor(a, b),
            // The machine's shifts take the low five bits, as cranelift's do.
            Alu::LshMasked => ins.ishl(a, b),
            Alu::RshMasked => ins.ushr(a, b),
            Alu::Lsh => {
                let shifted = ins.ishl(a, b);
                self.unless_too_far(b, shifted)
            }
            Alu::Rsh => {
                let shifted = ins.ushr(a, b);
                self.unless_too_far(b, shifted)
            }
        }
    }

    /// A divisor that is not 0. (A fault in the rules makes it 1 instead of rejecting the frame: a test
    /// should fail, not die of the machine's exception.)
    fn divisor(&mut self, b: Value) -> Value {
        let not_zero = self.builder.ins().icmp_imm_u(IntCC::NotEqual, b, 0);
        if self.rules.test_divisor {
            self.or_reject(not_zero);
            return b;
        }
        let one = self.constant(1);
        self.builder.ins().select(not_zero, b, one)
    }

    fn unless_too_far(&mut self, by: Value, shifted: Value) -> Value {
        let near = self.builder.ins().icmp_imm_u(IntCC::UnsignedLessThan, by, 32);
        let zero = self.constant(0);
        self.builder.ins().select(near, shifted, zero)
    }

    fn condition(&mut self, test: Test, with: Source, facts: Facts) -> Value {
        if let (Source::K(k), Some(raw)) = (with, facts.raw)
            && let Some(condition) = self.raw_condition(test, k, raw)
        {
            return condition;
        }
        let a = self.builder.use_var(self.a);
        let b = self.operand(with);
        let signed = self.rules.signed;
        let code = match test {
            Test::Equal => IntCC::Equal,
            Test::Greater if signed => IntCC::SignedGreaterThan,
            Test::GreaterOrEqual if signed => IntCC::SignedGreaterThanOrEqual,
            Test::Greater => IntCC::UnsignedGreaterThan,
            Test::GreaterOrEqual => IntCC::UnsignedGreaterThanOrEqual,
            Test::GreaterSigned => IntCC::SignedGreaterThan,
            Test::GreaterOrEqualSigned => IntCC::SignedGreaterThanOrEqual,
            Test::AnyBit => {
                let both = self.builder.ins().band(a, b);
                return self.builder.ins().icmp_imm_u(IntCC::NotEqual, both, 0);
            }
        };
        self.builder.ins().icmp(code, a, b)
    }

    /// A comparison with the bytes as they lie in the frame: turning the constant round costs nothing.
    fn raw_condition(&mut self, test: Test, k: u32, raw: Raw) -> Option<Value> {
        let turned = i64::from(raw.turn(k, self.rules.swap_bytes)?);
        let ins = self.builder.ins();
        match test {
            Test::Equal => Some(ins.icmp_imm_u(IntCC::Equal, raw.value, turned)),
            Test::AnyBit => {
                let both = ins.band_imm_u(raw.value, turned);
                Some(self.builder.ins().icmp_imm_u(IntCC::NotEqual, both, 0))
            }
            _ => None,
        }
    }
}
