// Sends the answer to the client (OAuth 2.0 Form Post Response Mode). Without scripts the person presses the button.
document.getElementById("lazyauth-answer").submit();
