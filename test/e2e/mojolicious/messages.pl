use Mojo::Base -strict, -signatures;
use Test::More;
use Mojo::Util qw(encode);
use Peer qw(listener sender);

my $largest = 262_144;

for (['/pub/m', '/sub/m'], ['/bus/m', '/bus/m'], ['/push/m', '/pull/m']) {
  my ($to, $from) = @$_;
  my $listener = Peer->open(listener($from));
  my $sender   = Peer->open(sender($to));

  subtest "$to to $from: text is text and binary is binary, byte for byte" => sub {
    my $text  = "\x{fc}, \x{20ac}, \x{1f600}, \0, <b>&amp;</b>\r\n";
    my $bytes = join '', map {chr} 0 .. 255;
    for my $message ([text => ''], [binary => ''], [text => $text], [binary => $bytes], [binary => 'plain']) {
      my ($kind, $payload) = @$message;
      $sender->say({$kind => $kind eq 'text' ? encode('UTF-8', $payload) : $payload});
      is_deeply $listener->hears, [$kind => $kind eq 'text' ? encode('UTF-8', $payload) : $payload];
    }
    $sender->say({json => {number => 1}});
    is_deeply $listener->hears, [text => '{"number":1}'], 'JSON';
  };

  subtest "$to to $from: a message of $largest bytes" => sub {
    for my $kind (qw(text binary)) {
      $sender->say({$kind => 'x' x $largest});
      my $heard = $listener->hears;
      is $heard->[0], $kind;
      ok $heard->[1] eq 'x' x $largest, 'all of it';
    }
  };

  subtest "$to: one byte more closes with 1009, and only that connection" => sub {
    for my $kind (qw(text binary)) {
      my $other = Peer->open(sender($to));
      $other->say({$kind => 'x' x ($largest + 1)});
      is unpack('n', $other->is_closed), 1009, $kind;
    }
    $sender->say('after it');
    is_deeply $listener->hear, ['after it'];
  };

  subtest "$to to $from: fragments are one message, with pings between them" => sub {
    $sender->say([0, 0, 0, 0, 1, 'in '], [1, 0, 0, 0, 9, 'alive?'], [0, 0, 0, 0, 0, 'three '], [1, 0, 0, 0, 0, 'parts']);
    is_deeply $listener->hears, [text => 'in three parts'];
    is $sender->hears_pong, 'alive?';
    $sender->say([0, 0, 0, 0, 2, "\xff"], [1, 0, 0, 0, 0, '']);
    is_deeply $listener->hears, [binary => "\xff"];
  };

  subtest "$to: what is wrong closes the connection" => sub {
    my %faults = (
      'a text that is not UTF-8' => [1007, [1, 0, 0, 0, 1, "\xff"]],
      'a reserved bit'           => [1002, [1, 1, 0, 0, 1, 'x']],
      'an unknown opcode'        => [1002, [1, 0, 0, 0, 3, 'x']],
    );
    for my $fault (sort keys %faults) {
      my ($code, $frame) = @{$faults{$fault}};
      my $other = Peer->open(sender($to));
      $other->say($frame);
      is unpack('n', $other->is_closed), $code, $fault;
    }
    $sender->say('none of it');
    is_deeply $listener->hear, ['none of it'], 'and is not passed on';
  };

  $_->close for $sender, $listener;
}

done_testing;
