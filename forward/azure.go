//go:build azure

package forward

import (
	_ "gocloud.dev/pubsub/azuresb" // azuresb://NAME, in the namespace of AZURE_SERVICEBUS_HOSTNAME
)

func init() { openers["azuresb"] = openCloud }
