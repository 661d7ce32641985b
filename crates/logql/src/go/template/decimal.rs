//! Decimals, as templates compute with them (github.com/shopspring/decimal): exact, as far as 38 digits hold the result; else
//! with the nearest numbers.

use crate::go::float;

/// Decimal places of a quotient that does not come out even.
const PLACES: i32 = 16;

/// A number: `digits` times ten to the power of `power`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal {
    digits: i128,
    power: i32,
}

impl Decimal {
    /// The shortest decimal that stands for this number.
    ///
    /// # Errors
    /// It is infinite, or not a number.
    pub(super) fn new(number: f64) -> Result<Decimal, String> {
        if !number.is_finite() {
            return Err(format!("Cannot create a Decimal from {}", float::shortest(number)));
        }
        let text = format!("{number:e}");
        let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}").parse().unwrap_or(0);
        let power = power.parse().unwrap_or(0_i32) - fraction.len() as i32;
        Ok(Decimal { digits, power })
    }

    /// The nearest number.
    pub(super) fn float(self) -> f64 {
        format!("{}e{}", self.digits, self.power).parse().unwrap_or(f64::NAN)
    }

    pub(super) fn add(self, other: Decimal) -> Result<Decimal, String> {
        let power = self.power.min(other.power);
        let sum = || self.scaled(power)?.checked_add(other.scaled(power)?);
        sum().map_or_else(|| nearest(self.float() + other.float()), |digits| Ok(Decimal { digits, power }))
    }

    pub(super) fn sub(self, other: Decimal) -> Result<Decimal, String> {
        self.add(Decimal { digits: -other.digits, ..other })
    }

    pub(super) fn mul(self, other: Decimal) -> Result<Decimal, String> {
        match self.digits.checked_mul(other.digits) {
            Some(digits) => Ok(Decimal { digits, power: self.power.saturating_add(other.power) }),
            None => nearest(self.float() * other.float()),
        }
    }

    pub(super) fn div(self, other: Decimal) -> Result<Decimal, String> {
        if other.digits == 0 {
            return Err("decimal division by 0".into());
        }
        let quotient = || {
            let power = self.power - other.power + PLACES;
            let (digits, by) = match u32::try_from(power) {
                Ok(power) => (self.digits.checked_mul(10_i128.checked_pow(power)?)?, other.digits),
                Err(_) => {
                    (self.digits, other.digits.checked_mul(10_i128.checked_pow(power.unsigned_abs())?)?)
                }
            };
            // Half and more is rounded away from zero.
            let up = (digits % by).unsigned_abs().checked_mul(2)? >= by.unsigned_abs();
            let away = if digits.signum() * by.signum() < 0 { -1 } else { 1 };
            Some(digits / by + if up { away } else { 0 })
        };
        match quotient() {
            Some(digits) => Ok(Decimal { digits, power: -PLACES }),
            None => nearest(self.float() / other.float()),
        }
    }

    /// The digits for a smaller power.
    fn scaled(self, power: i32) -> Option<i128> {
        let more = u32::try_from(self.power.checked_sub(power)?).ok()?;
        self.digits.checked_mul(10_i128.checked_pow(more)?)
    }
}

fn nearest(number: f64) -> Result<Decimal, String> {
    match number.is_finite() {
        true => Decimal::new(number),
        false => Err("the number is too large".into()),
    }
}
