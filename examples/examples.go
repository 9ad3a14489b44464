// Package examples holds documents to learn from and to start with.
package examples

import _ "embed"

// Kiosk is kiosk.yaml: a profile, and a workflow that reboots a kiosk after a
// person has agreed.
//
//go:embed kiosk.yaml
var Kiosk string
