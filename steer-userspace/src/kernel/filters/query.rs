//! Asks the kernel for one filter of the clsact qdisc: rtnetlink(7).

use std::io;

use aya::programs::{TcAttachType, tc};
use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcHeader, TcMessage, TcOption},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// A place for a filter.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) interface: u32,
    pub(super) direction: TcAttachType,
    pub(super) priority: u16,
    pub(super) handle: tc::TcHandle,
}

/// What the program of the filter there is called; `None` if there is no filter, no qdisc for it, or
/// no interface.
pub(super) fn program_at(place: Place) -> io::Result<Option<String>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&request(place), 0)?;
    let (datagram, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&datagram)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    match answer.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewTrafficFilter(filter)) => {
            Ok(program_of(&filter))
        }
        NetlinkPayload::Error(error) => match error.to_io() {
            error if is_absence(error.raw_os_error()) => Ok(None),
            error => Err(error),
        },
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// No filter, no qdisc for it, or no interface any more.
pub(super) fn is_absence(code: Option<i32>) -> bool {
    matches!(code, Some(libc::ENOENT | libc::EINVAL | libc::ENODEV))
}

fn request(place: Place) -> Vec<u8> {
    let minor = match place.direction {
        TcAttachType::Egress => TcHandle::MIN_EGRESS,
        TcAttachType::Ingress | TcAttachType::Custom(_) => TcHandle::MIN_INGRESS,
    };
    let every_protocol = u16::try_from(libc::ETH_P_ALL).unwrap_or_default().to_be();
    let header = TcHeader {
        index: place.interface.cast_signed(),
        handle: u32::from(place.handle).into(),
        parent: TcHandle {
            major: TcHandle::CLSACT.major,
            minor,
        },
        info: u32::from(place.priority) << 16 | u32::from(every_protocol),
        ..TcHeader::default()
    };
    let asked = RouteNetlinkMessage::GetTrafficFilter(TcMessage::from_parts(header, Vec::new()));
    let mut message = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::from(asked));
    message.header.flags = NLM_F_REQUEST;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn program_of(filter: &TcMessage) -> Option<String> {
    let options = filter.attributes.iter().filter_map(|found| match found {
        TcAttribute::Options(options) => Some(options),
        _ => None,
    });
    options.flatten().find_map(|option| match option {
        TcOption::Bpf(TcFilterBpfOption::ProgName(name)) => Some(name.clone()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_no_qdisc_there_is_no_program() {
        let place = |interface| Place {
            interface,
            direction: TcAttachType::Ingress,
            priority: u16::MAX,
            handle: tc::TcHandle::new(0, 1),
        };
        assert_eq!(program_at(place(1)).ok(), Some(None));
        assert_eq!(program_at(place(u32::MAX >> 1)).ok(), Some(None));
    }

    #[test]
    fn the_program_is_told_by_its_name() {
        let option = TcOption::Bpf(TcFilterBpfOption::ProgName("steer_veth".to_owned()));
        let options = vec![TcAttribute::Options(vec![option])];
        let filter = TcMessage::from_parts(TcHeader::default(), options);
        assert_eq!(program_of(&filter).as_deref(), Some("steer_veth"));
        assert_eq!(program_of(&TcMessage::default()), None);
    }
}
