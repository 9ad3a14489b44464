package dsl

import (
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"

	"github.com/deviceops/deviceops"
)

// demandsOf gives what the parts of a condition demand of an event: those of the
// form event.data.code == 7, either way round.
func demandsOf(parts []*Expression) (demands []deviceops.Demand) {
	for _, part := range parts {
		tree, err := parser.ParseWithConfig(part.Source, baseConfig)
		if err != nil {
			continue // it was reported
		}
		equality, ok := tree.Node.(*ast.BinaryNode)
		if !ok || equality.Operator != "==" {
			continue
		}
		for _, sides := range [][2]ast.Node{{equality.Left, equality.Right}, {equality.Right, equality.Left}} {
			path, isPath := pathBelow("event", sides[0])
			value, isConstant := filterer{}.constant(sides[1])
			if isPath && isConstant && len(path) > 0 {
				demands = append(demands, deviceops.Demand{Path: path, Value: value})
			}
		}
	}
	return demands
}
