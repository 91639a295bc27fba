import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  {
    languageOptions: { ecmaVersion: 2023, sourceType: "module", globals: globals.browser },
    rules: {
      eqeqeq: "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-var": "error",
      "prefer-const": "error",
      "no-unused-vars": ["error", { caughtErrors: "none", varsIgnorePattern: "^_$" }],
      "no-restricted-properties": [
        "error",
        { property: "innerHTML", message: "data never becomes markup" },
        { property: "outerHTML", message: "data never becomes markup" },
        { property: "insertAdjacentHTML", message: "data never becomes markup" },
      ],
    },
  },
];
