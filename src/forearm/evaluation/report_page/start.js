// Builds every part once, then shows the beginning, or the moment named in the address (report.html#t=3.5).

buildStage();
buildTransport();
buildDepth();
buildSpace();
buildTimeline();
buildJoints();
buildLatency();
addEventListener("scroll", requestDraw, { passive: true });
new ResizeObserver(redraw).observe(document.body);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
const asked = /^#t=([\d.]+)$/.exec(location.hash);
show(asked ? Number(asked[1]) : 0);
redraw();
