package deviceops

import (
	"errors"
	"fmt"
)

// Error codes. They are few, so that every surface can map each of them once:
// the API to an HTTP status, activities to a Temporal failure type.
const (
	EINVALID         = "invalid"         // the request is malformed or breaks a rule that holds for everybody
	ENOTFOUND        = "not_found"       // there is no such thing, or the caller may not know that there is
	ECONFLICT        = "conflict"        // the thing exists already, or is in a state that forbids the request
	EUNAUTHENTICATED = "unauthenticated" // the caller is not known
	EFORBIDDEN       = "forbidden"       // the caller is known and may not do this
	EEXHAUSTED       = "exhausted"       // a limit or quota was reached
	EUNAVAILABLE     = "unavailable"     // a part that is needed does not answer; trying again may help
	ETIMEOUT         = "timeout"         // the time for it ran out
	ECANCELED        = "canceled"        // somebody called it off
	EREJECTED        = "rejected"        // a device or a person said no; trying again does not help
	EFAILED          = "failed"          // a device tried and could not
	EINTERNAL        = "internal"        // a defect or an unexpected answer of a part
)

// Error is the one error type of the domain: a code for programs and a message
// for people. Err is the cause, if any, for errors.Is and errors.As.
type Error struct {
	Code    string
	Message string
	Err     error
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error. A cause passed for a %w verb is kept.
func Errorf(code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// ErrorCode gives the code of err: "" for nil, EINTERNAL for an error that is
// not of this domain.
func ErrorCode(err error) string {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	default:
		return EINTERNAL
	}
}

// ErrorMessage gives the message of err that a caller may see. Errors that are
// not of this domain may hold anything, so they say only "internal error".
func ErrorMessage(err error) string {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Message
	default:
		return "internal error"
	}
}
