package dsl

import (
	"encoding/json"
	"time"

	"github.com/deviceops/deviceops"
)

// Object is a JSON object with canonical values: decoding it gives int64 for
// whole numbers and float64 for others.
type Object map[string]any

// UnmarshalJSON implements json.Unmarshaler.
func (o *Object) UnmarshalJSON(data []byte) error {
	v, err := DecodeJSON(data)
	if err != nil {
		return err
	}
	m, _ := v.(map[string]any)
	*o = m
	return nil
}

// Statuses of a step, as expressions see them.
const (
	StatusSucceeded = "succeeded"
	StatusFailed    = "failed"
)

// StepResult is what expressions see of a step that has ended. A skipped step
// has no result: it is nil in expressions.
type StepResult struct {
	Status   string   `json:"status"` // StatusSucceeded or StatusFailed
	Output   any      `json:"output,omitempty"`
	Error    *Failure `json:"error,omitempty"`
	Attempts int      `json:"attempts"`
}

// UnmarshalJSON implements json.Unmarshaler; the output becomes canonical.
func (r *StepResult) UnmarshalJSON(data []byte) error {
	type plain StepResult
	if err := json.Unmarshal(data, (*plain)(r)); err != nil {
		return err
	}
	return decodeField(data, "output", &r.Output)
}

// Failure is an error as expressions see it.
type Failure = deviceops.RunError

// FailureOf makes a Failure of what a fail step evaluates to: a text, or a map
// with code, message, retryable, step, data. Whatever is missing gets a default;
// the code defaults to "failed".
func FailureOf(v any) Failure {
	f := Failure{Code: "failed", Message: "the workflow failed"}
	m, ok := v.(map[string]any)
	if !ok {
		if text := Format(v); text != "" {
			f.Message = text
		}
		return f
	}
	if s, ok := m["code"].(string); ok && s != "" {
		f.Code = s
	}
	if s, ok := m["message"]; ok && s != nil {
		f.Message = Format(s)
	}
	f.Step, _ = m["step"].(string)
	f.Retryable, _ = m["retryable"].(bool)
	f.Data, _ = m["data"].(map[string]any)
	return f
}

// RunInfo is what expressions see as `run`.
type RunInfo struct {
	ID        string    `json:"id"`
	Workflow  string    `json:"workflow"`
	Version   int       `json:"version"`
	StartedBy string    `json:"started_by"`
	Now       time.Time `json:"-"` // the workflow's clock at the evaluation, never the machine's
}

// Env is all that an evaluation sees. Values in it have to be canonical: as
// decoded into Object or StepResult, or passed through Canonical.
type Env struct {
	Inputs map[string]any
	Steps  map[string]StepResult // by id; a step that was skipped or has not run is absent
	Vars   map[string]any
	Error  *Failure // in a catch block and in retry.if
	Run    RunInfo
	Device map[string]any // facts of the run's device, needed when Program.Uses.Device

	// Locals are further names: index and the variable of a foreach, output in
	// until, event in the where of a wait.
	Locals map[string]any

	all map[string]any // when it is set, expressions see this and nothing else
}

// zeroTime only lends its type.
var zeroTime time.Time
