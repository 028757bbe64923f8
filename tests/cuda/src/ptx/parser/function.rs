//! Functions: their heads, registers, variables and instructions.

use std::collections::HashMap;

use super::{Meaning, Parser, REGISTERS_MAX};
use crate::ptx::Refusal;
use crate::ptx::lexer::Token;
use crate::ptx::syntax::{Function, Instruction, Operand, Statement, Variable, Width};

impl Parser<'_> {
    pub(super) fn function(&mut self, entry: bool, line: u32) -> Result<Function, Refusal> {
        self.scopes = vec![HashMap::new()];
        let returns = if !entry && self.eat('(') { self.params()? } else { Vec::new() };
        let name = self.word()?.to_owned();
        let params = if self.eat('(') { self.params()? } else { Vec::new() };
        let mut function = Function {
            name,
            line,
            entry,
            defined: false,
            returns,
            params,
            max_threads: None,
            registers: Vec::new(),
            variables: Vec::new(),
            body: Vec::new(),
        };
        loop {
            match self.peek() {
                Some(Token::Word(".maxntid" | ".reqntid")) => {
                    self.at += 1;
                    let mut threads: u32 = self.count()?;
                    while self.eat(',') {
                        threads = threads.saturating_mul(self.count()?);
                    }
                    function.max_threads = Some(threads);
                }
                Some(Token::Word(".minnctapersm" | ".maxnctapersm" | ".maxnreg")) => {
                    self.at += 1;
                    self.integer()?;
                }
                Some(Token::Word(".noreturn")) => self.at += 1,
                Some(Token::Mark(';')) => {
                    self.at += 1;
                    return Ok(function);
                }
                Some(Token::Mark('{')) => {
                    self.at += 1;
                    break;
                }
                other => return self.refuse(format!("a body expected, found {other:?}")),
            }
        }
        function.defined = true;
        self.body(&mut function)?;
        Ok(function)
    }

    fn params(&mut self) -> Result<Vec<Variable>, Refusal> {
        let mut found = Vec::new();
        while !self.eat(')') {
            if !self.eat_word(".param") {
                return self.refuse("parameters that are not in .param");
            }
            let param = self.variables(".param", false)?;
            found.extend(param);
            self.eat(',');
        }
        Ok(found)
    }

    fn body(&mut self, function: &mut Function) -> Result<(), Refusal> {
        loop {
            let line = self.line();
            match self.peek() {
                None => return self.refuse("a body without an end"),
                Some(Token::Mark('{')) => {
                    self.at += 1;
                    self.scopes.push(HashMap::new());
                }
                Some(Token::Mark('}')) => {
                    self.at += 1;
                    self.scopes.pop();
                    if self.scopes.is_empty() {
                        return Ok(());
                    }
                }
                Some(Token::Mark(';')) => self.at += 1,
                Some(Token::Mark('@')) => {
                    self.at += 1;
                    let negated = self.eat('!');
                    let Operand::Register(register) = self.operand()? else {
                        return Err(Refusal::new(line, "a guard that is not a register"));
                    };
                    self.instruction(function, line, Some((register, negated)))?;
                }
                Some(Token::Word(".reg")) => {
                    self.at += 1;
                    self.registers(function)?;
                }
                Some(Token::Word(space @ (".local" | ".shared" | ".param"))) => {
                    self.at += 1;
                    self.scoped_variables(function, space)?;
                }
                Some(Token::Word(".pragma")) => {
                    self.at += 2;
                    self.expect(';')?;
                }
                Some(Token::Word(label)) if self.next_is(':') => {
                    self.at += 2;
                    if self.eat_word(".branchtargets") {
                        let mut targets = Vec::new();
                        while !self.eat(';') {
                            targets.push(self.word()?.to_owned());
                            self.eat(',');
                        }
                        function.body.push(Statement::Targets(label.to_owned(), targets));
                    } else {
                        function.body.push(Statement::Label(label.to_owned()));
                    }
                }
                Some(Token::Word(_)) => self.instruction(function, line, None)?,
                Some(other) => return self.refuse(format!("an instruction expected, found {other:?}")),
            }
        }
    }

    fn next_is(&self, mark: char) -> bool {
        self.tokens.get(self.at + 1).is_some_and(|lexeme| lexeme.token == Token::Mark(mark))
    }

    fn registers(&mut self, function: &mut Function) -> Result<(), Refusal> {
        let kind = self.word()?;
        let width = match kind {
            ".pred" => Width::Predicate,
            ".b8" | ".u8" | ".s8" | ".b16" | ".u16" | ".s16" | ".f16" => Width::Half,
            ".b32" | ".u32" | ".s32" | ".f32" => Width::Word,
            ".b64" | ".u64" | ".s64" | ".f64" => Width::Double,
            other => return self.refuse(format!("registers of type {other}")),
        };
        loop {
            let name = self.word()?.to_owned();
            let first = u32::try_from(function.registers.len()).expect("bounded by REGISTERS_MAX a line");
            let meaning = if self.eat('<') {
                let count: u32 = self.count()?;
                self.expect('>')?;
                if count > REGISTERS_MAX || function.registers.len() > REGISTERS_MAX as usize {
                    return self.refuse(format!("{count} registers"));
                }
                function.registers.extend((0..count).map(|_| width));
                Meaning::Range(first, count)
            } else {
                function.registers.push(width);
                Meaning::Register(first)
            };
            self.scopes.last_mut().expect("a body has a scope").insert(name, meaning);
            if self.eat(';') {
                return Ok(());
            }
            self.expect(',')?;
        }
    }

    fn scoped_variables(&mut self, function: &mut Function, space: &str) -> Result<(), Refusal> {
        let mut found = self.variables(space, false)?;
        if space == ".param" {
            self.expect(';')?;
        }
        for variable in &mut found {
            self.scope_count += 1;
            let name = format!("{}@{}", variable.name, self.scope_count);
            let own = std::mem::replace(&mut variable.name, name.clone());
            self.scopes.last_mut().expect("a body has a scope").insert(own, Meaning::Variable(name));
        }
        function.variables.extend(found);
        Ok(())
    }

    fn instruction(&mut self, function: &mut Function, line: u32, guard: Option<(u32, bool)>) -> Result<(), Refusal> {
        let opcode = self.word()?.to_owned();
        let mut operands = Vec::new();
        while !self.eat(';') {
            operands.push(self.operand()?);
            if !self.eat(',') && self.peek() != Some(Token::Mark(';')) && !opcode.starts_with("call") {
                return self.refuse(format!("{opcode}: ',' or ';' expected, found {:?}", self.peek()));
            }
        }
        function.body.push(Statement::Instruction(Instruction { line, guard, opcode, operands }));
        Ok(())
    }
}
