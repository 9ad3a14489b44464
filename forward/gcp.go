//go:build gcp

package forward

import (
	_ "gocloud.dev/pubsub/gcppubsub" // gcppubsub://projects/PROJECT/topics/NAME
)

func init() { openers["gcppubsub"] = openCloud }
