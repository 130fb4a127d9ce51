use Mojo::Base -strict, -signatures;
use Test::More;
use Peer qw(answer listener post sender);

my @routes = qw(/sub/c /pub/c /bus/c /push/c /pull/c);

subtest 'a close is answered with its code' => sub {
  for my $route (@routes) {
    my @heard = map { unpack 'n', Peer->open(sender($route))->close($_ => 'bye') } 1000, 1001, 3000, 4999;
    is_deeply \@heard, [1000, 1001, 3000, 4999], $route;
    is(Peer->open(sender($route))->close, '', "$route without a code");
  }
};

subtest 'a ping is answered with what it held' => sub {
  for my $route (@routes) {
    my $peer = Peer->open(sender($route));
    $peer->say([1, 0, 0, 0, 9, ''], [1, 0, 0, 0, 9, "\x00\xff" . 'x' x 123]);
    is_deeply [map { $peer->hears_pong } 1 .. 2], ['', "\x00\xff" . 'x' x 123], $route;
    $peer->close;
  }
};

subtest 'a client that answers pings stays' => sub {
  my %peers = map { $_ => Peer->open(sender($_)) } @routes;
  $_->hears_pings(2) for values %peers;
  $peers{'/push/c'}->say('pushed');
  is_deeply $peers{'/pull/c'}->hear, ['pushed'];
  $peers{'/pub/c'}->say('published');
  is_deeply $peers{'/sub/c'}->hear, ['published'];
  is_deeply $_->closed, undef for values %peers;
};

subtest 'a handshake may offer what is not taken up' => sub {
  for my $route (@routes) {
    is_deeply [answer(sender($route), {'Sec-WebSocket-Extensions' => 'permessage-deflate'})], [101], "$route: compression";
    is_deeply [answer(sender($route), ['v1.none', 'v2.none'])], [101], "$route: subprotocols";
  }
};

subtest 'a handshake may have a body, as Mojo::UserAgent sends one when it is given a text after the address' => sub {
  my $subscriber = Peer->open(listener('/sub/body'), 'a description');
  my $publisher  = Peer->open(sender('/pub/body'), 'another one' x 100);
  $publisher->say('after the body');
  is_deeply $subscriber->hear, ['after the body'];
};

subtest 'when its process stops a client is closed with 1001, and finds all it needs at the next' => sub {
  my %peers = map { $_ => Peer->open(sender($_)) } @routes;
  kill TERM => $ENV{SENDER_PID};
  is unpack('n', $peers{$_}->is_closed), 1001, $_ for @routes;
  my $subscriber = Peer->open(listener('/sub/c'));
  is_deeply [post(listener('/pub/c'), 'still here')], [200, ''];
  is_deeply $subscriber->hear, ['still here'];
};

done_testing;
