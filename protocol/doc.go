// Package protocol is what devices and the engine say to one another over MQTT:
// topics, payloads, limits, and the rules for reading them.
//
// Everything a device sends is read by Decode, which returns one Message for
// each object of the payload; everything the engine sends is written by
// EncodeDown. Encode and DecodeDown are the device's side of the same.
// docs/device-protocol.md says what the messages mean and docs/asyncapi.yaml
// describes them formally; tests of this package hold all three together.
//
// Reading is tolerant where the future may add something (unknown fields are
// skipped) and strict where a mistake would be stored (a wrong type is an error
// that names the field). It is bounded in size, depth and number of elements.
//
// Durations on the wire are numbers of seconds (retry_in, wake_in, expires_in,
// every) unless their name ends in _ms.
package protocol
