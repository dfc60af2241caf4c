//! Loads from the frame, and the checks before them.
//!
//! Contract: every load of frame bytes is emitted here, behind a comparison on the same way that shows
//! its last byte to be there. [`Facts`] is what such comparisons have shown on every way to a place;
//! what they show already is not compared again, and a comparison asks at once for all that
//! `length.rs` says every accepting way needs.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, types};

use super::super::linux;
use super::super::op::{Size, Sum};
use super::length::{Required, bytes, end};
use super::translate::{Asked, Translator};

/// How memory is read: checked before, any alignment, the same bytes for as long as the code runs. Not
/// said to be movable, so that no load can come before its check.
pub(super) const READ: MemFlagsData = MemFlagsData::new().with_notrap().with_readonly();

/// What holds on every way to a place in the program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// So many bytes are there.
    pub(super) from_start: u64,
    /// So many bytes are there behind the offset that X holds now.
    pub(super) from_x: u64,
    /// What A was loaded as, if it was.
    pub(super) raw: Option<Raw>,
}

impl Facts {
    pub(super) const NONE: Self = Self { from_start: 0, from_x: 0, raw: None };

    /// What still holds where two ways meet.
    pub(super) fn both(self, other: Self) -> Self {
        Self {
            from_start: self.from_start.min(other.from_start),
            from_x: self.from_x.min(other.from_x),
            raw: if self.raw == other.raw { self.raw } else { None },
        }
    }

    /// X is this constant now.
    pub(super) fn x_is(self, k: u32) -> Self {
        Self { from_x: self.from_start.saturating_sub(k.into()), ..self }
    }
}

/// Bytes of the frame as a number in the machine's order, whose big-endian reading A is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) value: Value,
    size: Size,
}

impl Raw {
    /// The raw number of which `k` is the reading; `None` if no bytes read as `k`.
    pub(super) fn turn(self, k: u32, swap: bool) -> Option<u32> {
        match self.size {
            Size::Word => Some(if swap { k.swap_bytes() } else { k }),
            Size::Half => {
                u16::try_from(k).ok().map(|k| if swap { k.swap_bytes() } else { k }.into())
            }
            Size::Byte => u8::try_from(k).ok().map(u32::from),
        }
    }
}

impl Translator<'_> {
    /// A = what is at `k`.
    pub(super) fn load(&mut self, size: Size, k: u32, required: Required, facts: Facts) -> Facts {
        let facts = self.show_from_start(end(k, size), required, facts);
        self.big_endian(size, self.frame, k, facts)
    }

    /// A = what is at X + `k`.
    pub(super) fn load_indirect(
        &mut self,
        sum: Sum,
        size: Size,
        k: u32,
        required: Required,
        facts: Facts,
    ) -> Facts {
        let x = self.builder.use_var(self.x);
        let offset = match sum {
            Sum::Exact => {
                let facts = self.show_from_x(x, end(k, size), required, facts);
                let x = self.builder.ins().uextend(types::I64, x);
                let at_x = self.builder.ins().iadd(self.frame, x);
                return self.big_endian(size, at_x, k, facts);
            }
            Sum::Wrapping => {
                let offset = self.builder.ins().iadd_imm_u(x, i64::from(k));
                self.builder.ins().uextend(types::I64, offset)
            }
            Sum::Linux => {
                let offset = self.builder.ins().iadd_imm_u(x, i64::from(k));
                self.linux_place(offset)
            }
        };
        self.load_at(size, offset, facts)
    }

    /// A = what is at the network header + `k`.
    pub(super) fn load_network(&mut self, size: Size, k: u32, facts: Facts) -> Facts {
        let offset = self.behind_network(k);
        self.load_at(size, offset, facts)
    }

    /// X = 4 times the low half of the byte at `k`.
    pub(super) fn header_length(&mut self, k: u32, required: Required, facts: Facts) -> Facts {
        let facts = self.show_from_start(end(k, Size::Byte), required, facts);
        let byte = self.read(Size::Byte, self.frame, k);
        self.set_x_to_words(byte, facts)
    }

    /// X = 4 times the low half of the byte at the network header + `k`.
    pub(super) fn header_length_network(&mut self, k: u32, facts: Facts) -> Facts {
        let offset = self.behind_network(k);
        let address = self.checked(Size::Byte, offset);
        let byte = self.read(Size::Byte, address, 0);
        self.set_x_to_words(byte, facts)
    }

    fn set_x_to_words(&mut self, byte: Value, facts: Facts) -> Facts {
        let words = self.builder.ins().band_imm_u(byte, 15);
        let length = self.builder.ins().ishl_imm_u(words, 2);
        self.set_x(length, facts)
    }

    /// Shows that the first `needed` bytes are there, and with them all that is `required`.
    fn show_from_start(&mut self, needed: u64, required: Required, facts: Facts) -> Facts {
        if facts.from_start >= needed {
            return facts;
        }
        let from_start = required.from_start.max(needed);
        let limit = self.slackened(from_start);
        let limit = self.builder.ins().iconst(types::I64, limit);
        self.len_is_at_least(limit);
        Facts { from_start, ..facts }
    }

    /// The same for `needed` bytes from offset X.
    fn show_from_x(&mut self, x: Value, needed: u64, required: Required, facts: Facts) -> Facts {
        if facts.from_x >= needed {
            return facts;
        }
        let from_x = required.from_x.max(needed);
        // Two numbers of 32 bits and a few bytes: no sum wraps.
        let x = self.builder.ins().uextend(types::I64, x);
        let more = self.slackened(from_x);
        let limit = self.builder.ins().iadd_imm_s(x, more);
        self.len_is_at_least(limit);
        Facts { from_x, from_start: facts.from_start.max(from_x), ..facts }
    }

    /// A = what is at `offset`, a sum of two numbers of 32 bits at most.
    fn load_at(&mut self, size: Size, offset: Value, facts: Facts) -> Facts {
        let address = self.checked(size, offset);
        self.big_endian(size, address, 0, facts)
    }

    /// The address of `offset`, which is shown to be there.
    fn checked(&mut self, size: Size, offset: Value) -> Value {
        let more = self.slackened(bytes(size));
        let limit = self.builder.ins().iadd_imm_s(offset, more);
        self.len_is_at_least(limit);
        self.builder.ins().iadd(self.frame, offset)
    }

    fn len_is_at_least(&mut self, limit: Value) {
        let there = self.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, self.len, limit);
        self.or_reject(there);
    }

    fn slackened(&self, needed: u64) -> i64 {
        needed.cast_signed() - self.rules.slack
    }

    /// A = the big-endian number at `address` + `k`.
    fn big_endian(&mut self, size: Size, address: Value, k: u32, facts: Facts) -> Facts {
        let value = self.read(size, address, k);
        let turned = match size {
            Size::Word if self.rules.swap_bytes => self.builder.ins().bswap(value),
            Size::Half if self.rules.swap_bytes => {
                let turned = self.builder.ins().bswap(value);
                self.builder.ins().ushr_imm_u(turned, 16)
            }
            _ => value,
        };
        let facts = self.set_a(turned, facts);
        Facts { raw: Some(Raw { value, size }), ..facts }
    }

    /// The number at `address` + `k` in the machine's order.
    fn read(&mut self, size: Size, address: Value, k: u32) -> Value {
        let (address, k) = match i32::try_from(k) {
            Ok(k) => (address, k),
            Err(_) => (self.builder.ins().iadd_imm_u(address, i64::from(k)), 0),
        };
        let ins = self.builder.ins();
        match size {
            Size::Word => ins.load(types::I32, READ, address, k),
            Size::Half => ins.uload16(types::I32, READ, address, k),
            Size::Byte => ins.uload8(types::I32, READ, address, k),
        }
    }

    /// The network header + `k`, of 64 bits.
    fn behind_network(&mut self, k: u32) -> Value {
        let network = self.ask(Asked::NetworkOffset);
        let network = self.builder.ins().uextend(types::I64, network);
        self.builder.ins().iadd_imm_u(network, i64::from(k))
    }

    /// Where `linux::place` puts a sum of 32 bits, in 64; rejects what points nowhere.
    fn linux_place(&mut self, sum: Value) -> Value {
        let builder = &mut self.builder;
        let (negative, found) = (builder.create_block(), builder.create_block());
        builder.set_cold_block(negative);
        let place = builder.append_block_param(found, types::I64);
        let in_frame = builder.ins().icmp_imm_s(IntCC::SignedGreaterThanOrEqual, sum, 0);
        let wide = builder.ins().uextend(types::I64, sum);
        builder.ins().brif(in_frame, found, &[wide.into()], negative, &[]);

        self.builder.switch_to_block(negative);
        self.builder.seal_block(negative);
        let from = |this: &mut Self, start: i32| {
            let ins = this.builder.ins();
            ins.icmp_imm_s(IntCC::SignedGreaterThanOrEqual, sum, i64::from(start))
        };
        let somewhere = from(self, linux::LINK);
        self.or_reject(somewhere);
        let behind_network = from(self, linux::NETWORK);
        let behind = |this: &mut Self, start: i32| {
            let behind = this.builder.ins().iadd_imm_s(sum, -i64::from(start));
            this.builder.ins().uextend(types::I64, behind)
        };
        let behind_link = behind(self, linux::LINK);
        let network = self.behind_network(0);
        let in_network = behind(self, linux::NETWORK);
        let in_network = self.builder.ins().iadd(network, in_network);
        let other = self.builder.ins().select(behind_network, in_network, behind_link);
        self.builder.ins().jump(found, &[other.into()]);

        self.builder.switch_to_block(found);
        self.builder.seal_block(found);
        place
    }
}
