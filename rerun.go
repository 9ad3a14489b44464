package deviceops

// RunOrigin is what a run goes on with: another run, at one of its steps. The
// steps before that one are copied.
type RunOrigin struct {
	Run     string `json:"run"`               // id
	Step    string `json:"step"`              // the first step that is executed
	Because string `json:"because,omitempty"` // why that one: "it failed"
}

// RerunRequest asks to run again what a run did not do well, without repeating
// what it did.
type RerunRequest struct {
	From    string         `json:"from,omitempty" doc:"The step of the run's own list to begin at. Default: the one that failed, or the first one that was taken back"`
	Inputs  map[string]any `json:"inputs,omitempty" doc:"Inputs that differ; no copied step may have read them"`
	Version string         `json:"version,omitempty" doc:"Another version of the workflow: a number, or latest; its steps must be the same up to the first that is executed" example:"latest"`
	Reason  string         `json:"reason,omitempty"`
}
