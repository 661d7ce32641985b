//! The tokens of one action, with the token at hand.

use std::ops::Range;

use super::TemplateError;
use super::lexer::{Placed, Token};

/// The tokens of one action.
pub(super) struct Tokens {
    tokens: Vec<Placed>,
    /// The index of the token at hand.
    pub(super) next: usize,
    /// The place of the whole action in the template (bytes).
    pub(super) at: Range<usize>,
}

impl Tokens {
    pub(super) fn new(tokens: Vec<Placed>, at: Range<usize>) -> Tokens {
        Tokens { tokens, next: 0, at }
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(token, _)| token)
    }

    pub(super) fn place(&self) -> Range<usize> {
        let end = self.at.end.saturating_sub(2)..self.at.end;
        self.tokens.get(self.next).map_or(end, |(_, place)| place.clone())
    }

    pub(super) fn end(&self) -> usize {
        self.next
            .checked_sub(1)
            .and_then(|last| self.tokens.get(last))
            .map_or(self.at.end, |(_, place)| place.end)
    }

    pub(super) fn spaces(&mut self) {
        while self.peek() == Some(&Token::Space) {
            self.next += 1;
        }
    }

    pub(super) fn sign(&mut self, sign: &str) -> bool {
        self.spaces();
        let found = matches!(self.peek(), Some(Token::Sign(found)) if *found == sign);
        self.next += usize::from(found);
        found
    }

    /// The fields that follow directly.
    pub(super) fn fields(&mut self) -> Vec<String> {
        let mut fields = Vec::new();
        while let Some(Token::Field(name)) = self.peek() {
            fields.push(name.clone());
            self.next += 1;
        }
        fields
    }

    pub(super) fn rest(self) -> Vec<Placed> {
        self.tokens.into_iter().skip(self.next).collect()
    }

    pub(super) fn finish(&mut self) -> Result<(), TemplateError> {
        self.spaces();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(TemplateError::new(self.place(), "this does not belong here; expected `}}`")),
        }
    }
}
