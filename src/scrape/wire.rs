//! Protobuf as it is on the wire, field by field, as Go's generated code in Prometheus reads it. Knows no message.

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireError(pub &'static str);

const CUT_SHORT: WireError = WireError("a message is cut short");
const WRONG_TYPE: WireError = WireError("a field has another type than it should");

/// One field's content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Field<'p> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'p [u8]),
    /// 32 bits, or a group; no message here has any.
    Other,
}

impl<'p> Field<'p> {
    pub fn number(self) -> Result<u64, WireError> {
        if let Field::Varint(number) = self { Ok(number) } else { Err(WRONG_TYPE) }
    }

    pub fn double(self) -> Result<f64, WireError> {
        if let Field::Fixed64(bits) = self { Ok(f64::from_bits(bits)) } else { Err(WRONG_TYPE) }
    }

    pub fn bytes(self) -> Result<&'p [u8], WireError> {
        if let Field::Bytes(bytes) = self { Ok(bytes) } else { Err(WRONG_TYPE) }
    }

    pub fn message(self) -> Result<Fields<'p>, WireError> {
        self.bytes().map(Fields::of)
    }
}

/// The fields of one message, in order; each may come again. Ends after an error.
#[derive(Clone, Default)]
pub struct Fields<'p> {
    rest: &'p [u8],
}

impl<'p> Fields<'p> {
    pub fn of(message: &'p [u8]) -> Self {
        Fields { rest: message }
    }

    /// A message behind its own length, as pages hold them one after the other.
    pub fn delimited(page: &'p [u8]) -> Result<(Self, &'p [u8]), WireError> {
        let mut rest = page;
        let len = take_varint(&mut rest)?;
        // Five bytes, as Prometheus has it.
        let len = usize::try_from(len).ok().filter(|_| page.len() - rest.len() <= 5).ok_or(CUT_SHORT)?;
        let (message, rest) = rest.split_at_checked(len).ok_or(CUT_SHORT)?;
        Ok((Fields::of(message), rest))
    }

    /// The number of the next field, and what it holds.
    pub fn next_field(&mut self) -> Result<Option<(i32, Field<'p>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let field = self.take_field();
        if field.is_err() {
            self.rest = &[];
        }
        field.map(Some)
    }

    fn take_field(&mut self) -> Result<(i32, Field<'p>), WireError> {
        let tag = take_varint(&mut self.rest)?;
        // Go cuts the number to 32 bits.
        let number = (tag >> 3) as i32;
        if number <= 0 {
            return Err(WireError("a field has no valid number"));
        }
        let field = match tag & 7 {
            0 => Field::Varint(take_varint(&mut self.rest)?),
            1 => Field::Fixed64(u64::from_le_bytes(take_array(&mut self.rest)?)),
            2 => Field::Bytes(take_bytes(&mut self.rest)?),
            3 => self.skip_group()?,
            5 => take_array::<4>(&mut self.rest).map(|_| Field::Other)?,
            _ => return Err(WireError("a field has no valid type")),
        };
        Ok((number, field))
    }

    /// To the end of a group that was just entered.
    fn skip_group(&mut self) -> Result<Field<'p>, WireError> {
        let mut depth = 1;
        while depth > 0 {
            match take_varint(&mut self.rest)? & 7 {
                0 => _ = take_varint(&mut self.rest)?,
                1 => _ = take_array::<8>(&mut self.rest)?,
                2 => _ = take_bytes(&mut self.rest)?,
                3 => depth += 1,
                4 => depth -= 1,
                5 => _ = take_array::<4>(&mut self.rest)?,
                _ => return Err(WireError("a field has no valid type")),
            }
        }
        Ok(Field::Other)
    }
}

/// Numbers of a list that is packed or not. `most` is how many it may take on.
pub fn take_list<T>(
    field: Field<'_>,
    into: &mut Vec<T>,
    most: usize,
    one: impl Fn(Field<'_>) -> Result<T, WireError>,
    packed: impl Fn(&mut &[u8]) -> Result<Field<'static>, WireError>,
) -> Result<(), WireError> {
    const TOO_MANY: WireError = WireError("a native histogram has too many buckets");
    match field {
        Field::Bytes(mut bytes) => {
            while !bytes.is_empty() {
                if into.len() == most {
                    return Err(TOO_MANY);
                }
                into.push(one(packed(&mut bytes)?)?);
            }
        }
        _ if into.len() == most => return Err(TOO_MANY),
        single => into.push(one(single)?),
    }
    Ok(())
}

pub fn take_packed_varint(bytes: &mut &[u8]) -> Result<Field<'static>, WireError> {
    take_varint(bytes).map(Field::Varint)
}

pub fn take_packed_double(bytes: &mut &[u8]) -> Result<Field<'static>, WireError> {
    take_array(bytes).map(|bytes| Field::Fixed64(u64::from_le_bytes(bytes)))
}

/// `sint32` and `sint64`.
pub fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Ten bytes at most, of which bits past the 64th are lost, as in Go.
fn take_varint(bytes: &mut &[u8]) -> Result<u64, WireError> {
    let mut number = 0u64;
    for shift in (0..70).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or(CUT_SHORT)?;
        *bytes = rest;
        number |= u64::from(first & 0x7f).checked_shl(shift).unwrap_or(0);
        if *first < 0x80 {
            return Ok(number);
        }
    }
    Err(WireError("a number is too long"))
}

fn take_bytes<'p>(bytes: &mut &'p [u8]) -> Result<&'p [u8], WireError> {
    let len = usize::try_from(take_varint(bytes)?).map_err(|_| CUT_SHORT)?;
    let (taken, rest) = bytes.split_at_checked(len).ok_or(CUT_SHORT)?;
    *bytes = rest;
    Ok(taken)
}

fn take_array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], WireError> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(CUT_SHORT)?;
    *bytes = rest;
    Ok(*taken)
}
