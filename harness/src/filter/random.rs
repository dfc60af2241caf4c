//! Random programs that are valid in a dialect, and frames that mean something to them.
//!
//! Contract: a pure function of (seed, dialect). Programs go through the validator, so that one of
//! them is a [`Program`]. The frames come first, and a program asks mostly for what may be in one: a
//! program of random numbers rejects almost every frame at its first load, and compares nothing.

use npf_core::filter::{
    Ancillary, Dialect, Instruction, PacketType, Program, ProgramFault, opcode::*,
};

use crate::source::random::Stream;

/// A frame with what is known of it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The bytes that are there: 0 to 65,535.
    pub data: Vec<u8>,
    /// Its length on the wire.
    pub wire_len: u32,
    /// What else is known.
    pub ancillary: Ancillary,
}

/// One program and a few frames for it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The program.
    pub program: Program,
    /// The frames.
    pub samples: Vec<Sample>,
}

/// Frames for each program.
pub const SAMPLES: usize = 3;

/// The case of `seed` in `dialect`.
pub fn case(seed: u64, dialect: Dialect) -> Case {
    let mut maker = Maker { dice: Stream::new(seed, "filter", "programs"), dialect };
    let samples: Vec<Sample> = (0..SAMPLES).map(|_| maker.sample()).collect();
    let mut instructions = maker.instructions(&samples);
    loop {
        match Program::with_dialect(instructions.clone(), dialect) {
            Ok(program) => return Case { program, samples },
            // What a dialect refuses besides is seen best by its own validator.
            Err(error) => {
                instructions[error.at] = match error.what {
                    ProgramFault::UnsetScratchWord { k } => Instruction::new(LD_IMM, k),
                    _ => Instruction::new(RET_K, 0),
                };
            }
        }
    }
}

/// Draws one after the other.
struct Maker {
    dice: Stream,
    dialect: Dialect,
}

impl Maker {
    fn below(&mut self, bound: u32) -> u32 {
        self.dice.below(bound.into()) as u32
    }

    fn any(&mut self) -> u32 {
        self.dice.next_u64() as u32
    }

    /// True once in `n` times.
    fn once_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u32) as usize]
    }

    /// A frame: mostly short, now and then empty or as long as may be; like Ethernet, IP and TCP or
    /// UDP in places.
    fn sample(&mut self) -> Sample {
        let len = match self.below(64) {
            0 => self.below(65_536),
            1 => self.one_of(&[0, 1, 13, 14, 65_535]),
            2..8 => self.below(1515),
            _ => 14 + self.below(100),
        };
        let mut data = vec![0; len as usize];
        // Far from the start no program looks; what is there costs more than it tells.
        for chunk in data.iter_mut().take(256) {
            *chunk = self.any() as u8;
        }
        let kind = self.one_of(&[0x0800u16, 0x86dd, 0x0806, 0x8100]).to_be_bytes();
        let protocol = self.one_of(&[1u8, 6, 17]);
        let port = self.one_of(&[53u16, 80, 443, 67]).to_be_bytes();
        for (at, bytes) in
            [(12, &kind[..]), (14, &[0x45]), (20, &[0, 0]), (23, &[protocol]), (36, &port)]
        {
            if let Some(place) = data.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        }
        let wire_len = len + if self.once_in(4) { self.below(2000) } else { 0 };
        let ancillary = self.ancillary(&data);
        Sample { data, wire_len, ancillary }
    }

    fn ancillary(&mut self, data: &[u8]) -> Ancillary {
        let kinds = [PacketType::Host, PacketType::OtherHost, PacketType::Outgoing];
        Ancillary {
            packet_type: self.one_of(&kinds),
            interface_index: self.below(4),
            queue: self.below(8) as u16,
            hash: self.any(),
            cpu: self.below(64),
            mark: self.any(),
            vlan_tci: self.once_in(2).then(|| self.below(16) as u16),
            vlan_tpid: self.one_of(&[0, 0x8100, 0x88a8]),
            payload_offset: self.below(100),
            random: self.any(),
            ..Ancillary::of_ethernet(data)
        }
    }

    fn instructions(&mut self, samples: &[Sample]) -> Vec<Instruction> {
        let longest = match self.below(1000) {
            0 => self.dialect.max_instructions() as u32,
            1..100 => 64,
            _ => 16,
        };
        let last = self.below(longest);
        let mut program: Vec<Instruction> =
            (0..last).map(|at| self.instruction(last - at, at, samples)).collect();
        program.push(self.end());
        program
    }

    fn end(&mut self) -> Instruction {
        match self.below(8) {
            0 => Instruction::new(RET_K, 0),
            1 => Instruction::new(RET_K, self.any()),
            2 | 3 => Instruction::new(RET_A, 0),
            _ => Instruction::new(RET_K, 1 + self.below(262_144)),
        }
    }

    /// An instruction that `after` others follow and `before` others precede.
    fn instruction(&mut self, after: u32, before: u32, samples: &[Sample]) -> Instruction {
        match self.below(32) {
            0..7 => self.load(),
            7..9 => Instruction::new(self.one_of(&[LD_W_IND, LD_H_IND, LD_B_IND]), self.offset()),
            9 => Instruction::new(LDX_MSH, self.offset()),
            10 => Instruction::new(self.one_of(&[LD_LEN, LDX_LEN, TXA, NEG]), 0),
            11 => Instruction::new(self.one_of(&[LD_IMM, LDX_IMM]), self.number(samples)),
            12 => Instruction::new(TAX, 0),
            13..15 => Instruction::new(self.one_of(&[LD_MEM, LDX_MEM]), self.below(16)),
            15..17 => Instruction::new(self.one_of(&[ST, STX]), self.below(16)),
            17..23 => self.arithmetic(samples),
            23 => self.jump(after, before),
            24 if self.once_in(4) => self.end(),
            _ => {
                let code = [JEQ_K, JEQ_X, JGT_K, JGT_X, JGE_K, JGE_X, JSET_K, JSET_X];
                let (code, k) = (self.one_of(&code), self.number(samples));
                let nearest = after.min(256);
                let (jt, jf) = (self.below(nearest), self.below(nearest));
                // Mostly goes on at the next one with one of its ways, as compilers do.
                let (jt, jf) = self.one_of(&[(jt, 0), (0, jf), (jt, jf)]);
                Instruction::jump(code, k, jt as u8, jf as u8)
            }
        }
    }

    fn load(&mut self) -> Instruction {
        Instruction::new(self.one_of(&[LD_W_ABS, LD_H_ABS, LD_B_ABS]), self.offset())
    }

    /// Mostly inside a frame; else near what a dialect has for extensions, or anything.
    fn offset(&mut self) -> u32 {
        match self.below(64) {
            0 => self.any(),
            1 => 0xffff_f000 + self.below(80),
            2..6 => 0xffff_f000 + 4 * self.below(17),
            6 => 0xfff0_0000 + self.below(64),
            7 => 0xffe0_0000 + self.below(64),
            8..12 => self.below(128),
            _ => self.below(60),
        }
    }

    /// What may be in a frame, a small number, or one where something changes its sign.
    fn number(&mut self, samples: &[Sample]) -> u32 {
        let sample = &samples[self.below(samples.len() as u32) as usize];
        let at = self.below(60) as usize;
        let size = self.one_of(&[1, 2, 4]);
        match (self.below(8), sample.data.get(at..at + size)) {
            (0..4, Some(bytes)) => bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)),
            (4, _) => self.any(),
            (5, _) => self.one_of(&[0x7fff_ffff, 0x8000_0000, 0x8000_0001, u32::MAX, 0, 1]),
            _ => self.below(64),
        }
    }

    fn arithmetic(&mut self, samples: &[Sample]) -> Instruction {
        let codes = [ADD_K, SUB_K, MUL_K, DIV_K, MOD_K, OR_K, AND_K, XOR_K, LSH_K, RSH_K];
        let code = self.one_of(&codes) + if self.once_in(3) { 8 } else { 0 };
        let k = match code {
            LSH_K | RSH_K if !self.once_in(32) => self.below(32),
            DIV_K | MOD_K => self.number(samples).max(1),
            _ => self.number(samples),
        };
        Instruction::new(code, k)
    }

    fn jump(&mut self, after: u32, before: u32) -> Instruction {
        if self.dialect == Dialect::Libpcap && before > 0 && self.once_in(8) {
            // At least two back: one back is the jump itself.
            return Instruction::new(JA, (2 + self.below(before)).min(before + 1).wrapping_neg());
        }
        Instruction::new(JA, self.below(after))
    }
}
