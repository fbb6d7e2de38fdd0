//! The tokens of protobuf's wire format.

use super::super::{
    cursor::{Budget, Cursor},
    error::{Fault, Problem},
};

/// How a field's bytes end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Length = 2,
    StartGroup = 3,
    EndGroup = 4,
    Fixed32 = 5,
}

/// Reads an integer of variable length.
pub(super) fn varint(cursor: &mut Cursor<'_>) -> Result<u64, Fault> {
    let start = cursor.clone();
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = cursor.byte()?;
        // The tenth byte has one bit left.
        if shift == 63 && byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(start.fault(Problem::Varint))
}

/// Reads a field's number and wire type.
pub(super) fn tag(cursor: &mut Cursor<'_>) -> Result<(u32, WireType), Fault> {
    let start = cursor.clone();
    let tag = varint(cursor)?;
    let error = || start.fault(Problem::Tag(tag));
    let number = u32::try_from(tag >> 3).ok().filter(|n| (1..1 << 29).contains(n)).ok_or_else(error)?;
    let wire_type = match tag & 7 {
        0 => WireType::Varint,
        1 => WireType::Fixed64,
        2 => WireType::Length,
        3 => WireType::StartGroup,
        4 => WireType::EndGroup,
        5 => WireType::Fixed32,
        _ => return Err(error()),
    };
    Ok((number, wire_type))
}

/// Passes over the value of a field that the schema does not have.
pub(super) fn skip(
    cursor: &mut Cursor<'_>,
    number: u32,
    wire_type: WireType,
    depth: usize,
    budget: &Budget,
) -> Result<(), Fault> {
    match wire_type {
        WireType::Varint => varint(cursor).map(drop),
        WireType::Fixed64 => cursor.take(8).map(drop),
        WireType::Fixed32 => cursor.take(4).map(drop),
        WireType::Length => super::length_delimited(cursor).map(drop),
        WireType::StartGroup => {
            budget.depth(depth).map_err(|problem| cursor.fault(problem))?;
            loop {
                let start = cursor.clone();
                match tag(cursor)? {
                    (end, WireType::EndGroup) if end == number => return Ok(()),
                    (_, WireType::EndGroup) => return Err(start.fault(Problem::Group)),
                    (inner, wire_type) => skip(cursor, inner, wire_type, depth + 1, budget)?,
                }
            }
        }
        WireType::EndGroup => Err(cursor.fault(Problem::Group)),
    }
}
