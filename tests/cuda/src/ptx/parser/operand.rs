//! Operands: registers, literals, names, addresses and lists of them.

use super::{Meaning, Parser};
use crate::ptx::Refusal;
use crate::ptx::lexer::Token;
use crate::ptx::syntax::Operand;

impl Parser<'_> {
    pub(super) fn operand(&mut self) -> Result<Operand, Refusal> {
        let found = match self.peek() {
            Some(Token::Mark('[')) => {
                self.at += 1;
                let base = self.operand()?;
                let offset = if self.eat('+') { self.integer()? } else { 0 };
                self.expect(']')?;
                match base {
                    Operand::Symbol(name, addend) => {
                        Operand::Address(Box::new(Operand::Symbol(name, 0)), addend + offset)
                    }
                    base => Operand::Address(Box::new(base), offset),
                }
            }
            Some(Token::Mark(open @ ('{' | '('))) => {
                self.at += 1;
                let close = if open == '{' { '}' } else { ')' };
                let mut items = Vec::new();
                while !self.eat(close) {
                    items.push(self.operand()?);
                    self.eat(',');
                }
                Operand::List(items)
            }
            Some(Token::Mark('!')) => {
                self.at += 1;
                match self.operand()? {
                    Operand::Register(register) => Operand::Negated(register),
                    other => return self.refuse(format!("! before {other:?}")),
                }
            }
            Some(Token::Mark('-')) => Operand::Integer(self.integer()?),
            Some(Token::Word(word)) => {
                self.at += 1;
                self.named(word)?
            }
            other => return self.refuse(format!("an operand expected, found {other:?}")),
        };
        if self.eat('|') {
            return Ok(Operand::Pair(Box::new(found), Box::new(self.operand()?)));
        }
        Ok(found)
    }

    fn named(&mut self, word: &str) -> Result<Operand, Refusal> {
        if word == "_" {
            return Ok(Operand::Sink);
        }
        if word.starts_with(|first: char| first.is_ascii_digit()) {
            return number(word).ok_or_else(|| Refusal::new(self.line(), format!("{word} is not a number")));
        }
        for scope in self.scopes.iter().rev() {
            match scope.get(word) {
                Some(Meaning::Register(number)) => return Ok(Operand::Register(*number)),
                Some(Meaning::Variable(name)) => {
                    let name = name.clone();
                    return self.symbol(name);
                }
                _ => {}
            }
            let stem = word.trim_end_matches(|last: char| last.is_ascii_digit());
            if let (Some(Meaning::Range(first, count)), Ok(number)) =
                (scope.get(stem), word[stem.len()..].parse::<u32>())
                && number < *count
            {
                return Ok(Operand::Register(first + number));
            }
        }
        if word.starts_with('%') {
            return Ok(Operand::Special(word.to_owned()));
        }
        self.symbol(word.to_owned())
    }

    /// A name with an addend that may follow it.
    fn symbol(&mut self, name: String) -> Result<Operand, Refusal> {
        let addend = if self.eat('+') { self.integer()? } else { 0 };
        Ok(Operand::Symbol(name, addend))
    }
}

pub(super) fn integer(word: &str) -> Option<i64> {
    let word = word.trim_end_matches('U');
    if let Some(digits) = word.strip_prefix("0x").or(word.strip_prefix("0X")) {
        return Some(u64::from_str_radix(digits, 16).ok()?.cast_signed());
    }
    Some(word.parse::<u64>().ok()?.cast_signed())
}

fn number(word: &str) -> Option<Operand> {
    if let Some(digits) = word.strip_prefix("0f").or(word.strip_prefix("0F")) {
        return Some(Operand::Float(u32::from_str_radix(digits, 16).ok()?));
    }
    if let Some(digits) = word.strip_prefix("0d").or(word.strip_prefix("0D")) {
        return Some(Operand::Double(u64::from_str_radix(digits, 16).ok()?));
    }
    integer(word).map(Operand::Integer)
}
