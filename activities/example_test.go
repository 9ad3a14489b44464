package activities_test

import (
	"context"
	"fmt"

	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
)

// partOrder holds the arguments of the action erp.order. Its schema, what the
// checker says of it and its description follow from the tags.
type partOrder struct {
	Part   string `json:"part" required:"true" enum:"panel,fuse" doc:"what to order"`
	Number int    `json:"number" default:"1" min:"1" max:"10" doc:"how many"`
	Token  string `json:"token" required:"true" secret:"true" doc:"who we are"`
}

type orderOutput struct {
	Order string `json:"order" doc:"the number of the order"`
}

// order would call the customer's ERP. The call's id makes it harmless to repeat.
func order(ctx context.Context, c *activities.Call, args partOrder) (orderOutput, error) {
	if _, err := c.Secret(ctx, args.Token); err != nil {
		return orderOutput{}, err
	}
	return orderOutput{Order: fmt.Sprintf("%s-%d-%s", args.Part, args.Number, c.ID)}, nil
}

// A program of one's own makes an action and gives it to worker.Options.Actions
// and serve.Config.Actions; documents are checked against activities.ActionsWith.
func ExampleNewAction() {
	erp := activities.NewAction(activities.About{Name: "erp.order", Summary: "orders a part", Idempotent: true}, order)
	fmt.Println(erp.Spec().Name, "takes secrets in", erp.Spec().Secrets)

	const workflow = `workflow: repair
steps:
  - id: order
    action: erp.order
    with: { part: pannel, token: "secret:erp/token" }
  - return: { order: "${{ steps.order.output.ordr }}" }
`
	_, found := dsl.CheckFile("repair.yaml", workflow, dsl.Options{Actions: activities.ActionsWith(erp)})
	for _, d := range found {
		fmt.Printf("line %d: %s\n", d.Line, d.Message)
	}
	// Output:
	// erp.order takes secrets in [token]
	// line 5: part must be one of panel, fuse, and this is "pannel"
	// line 6: there is no "ordr" here; did you mean order?
}
