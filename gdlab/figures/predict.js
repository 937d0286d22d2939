// Predict, then reveal: a question that the reader answers before the figure shows what happens.

// options are [value, words]; `onguess` gets the reader's answer, `onagain` asks for another question.
// set({ question, guess, judged, answer, why }): while there is no guess the question stands there, then what came of it.
// `judged` says whether the guess was about what is shown now; the reader may have moved on.
function prediction({ options, onguess, onagain }) {
  const question = html("p", { class: "gdl-question" });
  const choices = html("div", { class: "gdl-guesses", role: "group", "aria-label": "your prediction" },
    options.map(([value, text]) => button("", text, () => onguess(value))));
  const asking = html("div", {}, question, choices);
  const verdict = html("p", { class: "gdl-question" });
  const again = button("", "Ask me another", onagain);
  const told = html("div", { role: "status" }, verdict, again);
  const node = html("div", { class: "gdl-predict" }, asking, told);  // both in one place, so that nothing jumps
  const named = (value) => options.find(([option]) => option === value)?.[1];
  node.set = ({ question: text, guess, judged, answer, why }) => {
    const open = !guess;
    const moving = node.contains(document.activeElement);  // the button that had the focus is about to go
    asking.style.visibility = open ? "" : "hidden";
    told.style.visibility = open ? "hidden" : "";
    question.textContent = text;
    const judgement = guess === answer ? `✓ ${named(answer)}. ` : `You said ${named(guess)}; it is ${named(answer)}. `;
    verdict.replaceChildren(...(open ? [] : [html("b", {}, judged ? judgement : `${named(answer)}. `), why]));
    if (moving && document.activeElement.closest(open ? "[role=status]" : "[role=group]")) (open ? choices.firstChild : again).focus();
  };
  return node;
}
