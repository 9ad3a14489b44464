package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
)

// Exit codes.
const (
	ExitDone   = 0
	ExitFailed = 1
	ExitUsage  = 2
)

// usageError is an error in how a command was written.
type usageError struct{ error }

// Unwrap gives the cause.
func (e usageError) Unwrap() error { return e.error }

// Usage marks err as wrong use: Execute exits with 2.
func Usage(err error) error { return usageError{err} }

// Execute runs the command line args under root, writes what went wrong and
// what to do about it to root's error output, and gives the exit code.
func Execute(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitDone
	}
	code := ExitFailed
	if isUsage(err) {
		code = ExitUsage
	}
	message, todo := tell(err, cmd)
	if message != "" {
		fmt.Fprintln(root.ErrOrStderr(), "deviceops: "+message)
	}
	if todo != "" {
		fmt.Fprintln(root.ErrOrStderr(), "  → "+todo)
	}
	return code
}

func isUsage(err error) bool {
	var usage usageError
	return errors.As(err, &usage) || strings.HasPrefix(err.Error(), "unknown command ")
}

// errReported ends a command with 1 whose result, already shown, says why.
var errReported = errors.New("")

// aboutToken is what is said of somebody who may not do something, and not of, say,
// the signature of a release.
var aboutToken = regexp.MustCompile(` has the roles | may not |above yours| principals of `)

// tell gives what went wrong in one line, and what to do.
func tell(err error, cmd *cobra.Command) (message, todo string) {
	if errors.Is(err, errReported) {
		return "", ""
	}
	message = strings.TrimSpace(err.Error())
	if isUsage(err) {
		return firstLine(message), "see " + cmd.CommandPath() + " --help"
	}
	switch deviceops.ErrorCode(err) {
	case deviceops.EUNAVAILABLE:
		return message, "start a stack with deviceops dev, or name another server with --server; deviceops doctor checks the connection"
	case deviceops.EUNAUTHENTICATED:
		return message, "log in: deviceops login --server URL --token TOKEN"
	case deviceops.EFORBIDDEN:
		if !aboutToken.MatchString(message) {
			return message, ""
		}
		return message, "use a token that may do this; deviceops doctor shows what yours may"
	case deviceops.ENOTFOUND:
		return message, "see what there is with the list and get commands; what lies outside your account is not shown"
	case deviceops.EINTERNAL:
		return message, "the log of the server tells more"
	default:
		return message, ""
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
