package activities

import (
	"errors"

	"go.temporal.io/sdk/temporal"

	"github.com/deviceops/deviceops"
)

// Failure gives err the form in which it crosses Temporal: an application error
// whose type is the error's code. Codes that say that a part is out of reach
// (EUNAVAILABLE, EINTERNAL, and all errors that are not of this domain) are
// tried again by Temporal; all others are answers, and end the activity.
func Failure(err error) error {
	var already *temporal.ApplicationError
	if err == nil || errors.As(err, &already) {
		return err
	}
	code := deviceops.ErrorCode(err)
	o := temporal.ApplicationErrorOptions{
		NonRetryable: !transient(code),
		Cause:        foreign(err),
		Details:      []any{deviceops.RunError{Code: code, Message: deviceops.ErrorMessage(err), Retryable: transient(code)}},
	}
	if !transient(code) {
		o.Category = temporal.ApplicationErrorCategoryBenign // an answer: nothing for the worker's error log
	}
	return temporal.NewApplicationErrorWithOptions(deviceops.ErrorMessage(err), code, o)
}

// notYet is the failure of an activity that has to look again later. It is
// benign: nothing is wrong.
func notYet(format string, args ...any) error {
	err := deviceops.Errorf(deviceops.EUNAVAILABLE, format, args...)
	return temporal.NewApplicationErrorWithOptions(err.Message, err.Code, temporal.ApplicationErrorOptions{
		Category: temporal.ApplicationErrorCategoryBenign,
		Details:  []any{deviceops.RunError{Code: err.Code, Message: err.Message, Retryable: true}},
	})
}

func transient(code string) bool {
	return code == deviceops.EUNAVAILABLE || code == deviceops.EINTERNAL
}

// foreign keeps what an error says that is not of this domain: its message is
// withheld from users and still needed by whoever looks into the history.
func foreign(err error) error {
	var own *deviceops.Error
	if errors.As(err, &own) {
		return nil
	}
	return err
}

// RunFailure gives the failure of a run or step the form in which it crosses
// Temporal. It is never tried again by Temporal: whether and when to try again
// is the workflow's decision.
func RunFailure(e *deviceops.RunError) error {
	return temporal.NewApplicationErrorWithOptions(e.Message, e.Code, temporal.ApplicationErrorOptions{
		NonRetryable: true,
		Category:     temporal.ApplicationErrorCategoryBenign,
		Details:      []any{*e},
	})
}

// Cause gives back what Failure or RunFailure put into err, however often
// Temporal wrapped it; timeouts become ETIMEOUT, cancellations ECANCELED. It
// gives nil for nil.
func Cause(err error) *deviceops.RunError {
	if err == nil {
		return nil
	}
	var application *temporal.ApplicationError
	if errors.As(err, &application) {
		return applicationCause(application)
	}
	var timeout *temporal.TimeoutError
	var canceled *temporal.CanceledError
	switch {
	case errors.As(err, &timeout):
		return &deviceops.RunError{Code: deviceops.ETIMEOUT, Message: "no answer came in time", Retryable: true}
	case errors.As(err, &canceled):
		return &deviceops.RunError{Code: deviceops.ECANCELED, Message: "it was canceled"}
	}
	code := deviceops.ErrorCode(err)
	return &deviceops.RunError{Code: code, Message: deviceops.ErrorMessage(err), Retryable: transient(code)}
}

func applicationCause(application *temporal.ApplicationError) *deviceops.RunError {
	var cause deviceops.RunError
	if application.HasDetails() && application.Details(&cause) == nil && cause.Code != "" {
		return &cause
	}
	code := application.Type()
	if code == "" {
		code = deviceops.EINTERNAL
	}
	return &deviceops.RunError{Code: code, Message: application.Message(), Retryable: !application.NonRetryable()}
}

// DomainError gives back the error that a caller of a workflow should see: nil
// for nil.
func DomainError(err error) error {
	cause := Cause(err)
	if cause == nil {
		return nil
	}
	return deviceops.Errorf(cause.Code, "%s", cause.Message)
}
