//! Numbers in few bytes: variable length, differences, prices in ticks of their own exponent.

/// More decimal places than any exchange has.
const EXPONENT_MAX: u8 = 9;
const POWERS: [f64; EXPONENT_MAX as usize + 1] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Up to here every whole number is a float of its own.
const UNITS_MAX: f64 = 9_007_199_254_740_992.0;
/// Stands for an exponent where a price is no decimal, and its bits follow.
const RAW: u8 = u8::MAX;

pub(super) fn put_unsigned(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Small differences to either side are small numbers.
pub(super) fn put_signed(bytes: &mut Vec<u8>, number: i64) {
    put_unsigned(bytes, zigzag(number));
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

/// Bytes that are read from their front.
#[derive(Debug)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn unsigned(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        self.unsigned().map(|number| (number >> 1) as i64 ^ -((number & 1) as i64))
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}

/// A row's last price as a whole number of ticks: cents at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Base {
    exponent: u8,
    units: i64,
}

impl Default for Base {
    fn default() -> Self {
        Self { exponent: 2, units: 0 }
    }
}

impl Base {
    /// The base of a row whose latest price is known.
    pub(super) fn of(price: Option<f64>) -> Self {
        let known = price.and_then(|price| (2..=EXPONENT_MAX).find_map(|exponent| Self::exactly(price, exponent)));
        known.unwrap_or_default()
    }

    /// Not one bit of the price may be lost.
    fn exactly(price: f64, exponent: u8) -> Option<Self> {
        let power = POWERS[usize::from(exponent)];
        let units = (price * power).round();
        let base = Self { exponent, units: units as i64 };
        (units.abs() < UNITS_MAX && base.price().to_bits() == price.to_bits()).then_some(base)
    }

    fn price(self) -> f64 {
        self.units as f64 / POWERS[usize::from(self.exponent)]
    }

    /// Writes a price as the difference to this, which it replaces; in `others` what is none.
    pub(super) fn put(&mut self, price: f64, differences: &mut Vec<u8>, others: &mut Vec<u8>) {
        if let Some(next) = Self::exactly(price, self.exponent) {
            // Zero stands for a price that is elsewhere.
            put_unsigned(differences, zigzag(next.units - self.units) + 1);
            *self = next;
            return;
        }
        put_unsigned(differences, 0);
        match (self.exponent.max(2)..=EXPONENT_MAX).find_map(|exponent| Self::exactly(price, exponent)) {
            Some(next) => {
                others.push(next.exponent);
                put_signed(others, next.units);
                *self = next;
            }
            None => {
                others.push(RAW);
                others.extend_from_slice(&price.to_le_bytes());
            }
        }
    }

    /// The price that was written, by which this is replaced.
    pub(super) fn take(&mut self, differences: &mut Bytes<'_>, others: &mut Bytes<'_>) -> Option<f64> {
        let number = differences.unsigned()?;
        if number > 0 {
            let number = number - 1;
            self.units = self.units.checked_add((number >> 1) as i64 ^ -((number & 1) as i64))?;
            return Some(self.price());
        }
        match others.byte()? {
            RAW => others.array().map(f64::from_le_bytes),
            exponent if exponent <= EXPONENT_MAX => {
                *self = Self { exponent, units: others.signed()? };
                Some(self.price())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_price_costs_a_byte_while_it_moves_by_cents() {
        let (mut base, mut differences, mut others) = (Base::of(Some(178.23)), Vec::new(), Vec::new());
        for price in [178.24, 178.2, 178.0, 178.55] {
            base.put(price, &mut differences, &mut others);
        }
        assert_eq!((differences.len(), others.len()), (4, 0));
        base.put(0.00012, &mut differences, &mut others);
        base.put(0.00013, &mut differences, &mut others);
        assert_eq!((differences.len(), others.len()), (6, 2), "another exponent, once");
    }

    fn price() -> impl Strategy<Value = f64> {
        prop_oneof![
            (1_i64..10_000_000, 0_usize..6).prop_map(|(units, places)| units as f64 / POWERS[places]),
            any::<f64>().prop_filter("a price", |price| price.is_finite()),
        ]
    }

    proptest! {
        #[test]
        fn no_bit_of_a_price_is_lost(prices in prop::collection::vec(price(), 1..50)) {
            let (mut base, mut differences, mut others) = (Base::default(), Vec::new(), Vec::new());
            prices.iter().for_each(|price| base.put(*price, &mut differences, &mut others));
            let (mut base, mut differences, mut others) = (Base::default(), Bytes(&differences), Bytes(&others));
            for price in prices {
                let read = base.take(&mut differences, &mut others).expect("a price");
                prop_assert_eq!(read.to_bits(), price.to_bits());
            }
        }

        #[test]
        fn numbers_come_back(number in any::<i64>()) {
            let mut bytes = Vec::new();
            put_signed(&mut bytes, number);
            prop_assert_eq!(Bytes(&bytes).signed(), Some(number));
        }
    }
}
